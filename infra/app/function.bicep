/* The function app on its Flex Consumption plan, and every app setting. */

@description('Name of the function app: also the first part of the address that Azure gives it.')
@maxLength(60)
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the user-assigned identity.')
param identityResourceId string

@description('Client id of the user-assigned identity.')
param identityClientId string

@description('Address of the blob service, with a slash at its end.')
param blobEndpoint string

@description('Address of the queue service.')
param queueEndpoint string

@description('Address of the table service.')
param tableEndpoint string

@description('Container that deployed packages are put into.')
param deploymentContainerName string

@description('Key Vault of the secrets.')
param keyVaultName string

@description('Where telemetry is sent to.')
param applicationInsightsConnectionString string

@description('Log Analytics workspace for diagnostics.')
param workspaceResourceId string

@description('Subnet that the app looks out of. Empty: none.')
param subnetResourceId string

@description('Instances that are always ready for the HTTP functions (reason and price: main.bicep).')
param httpAlwaysReadyInstances int

@description('HTTP requests that one instance works on at a time (reason and price: main.bicep).')
param httpConcurrency int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Most instances at a time.')
param maximumInstanceCount int

@description('Spread over availability zones.')
param zoneRedundant bool

@description('PUBLIC_BASE_URL')
param publicBaseUrl string

@description('GRAPH_BASE_URL')
param graphBaseUrl string

@description('ENTRA_AUTHORITY')
param entraAuthority string

@description('ENTRA_CLIENT_ID')
param entraClientId string

@description('CRM_WEBHOOK_URL')
param crmWebhookUrl string

@description('ALLOWED_RETURN_ORIGINS')
param allowedReturnOrigins string

@description('NOTIFICATION_MODE')
param notificationMode string

@description('SUBSCRIPTION_MINUTES')
param subscriptionMinutes int

@description('FORWARDED_MESSAGES')
param forwardedMessages string

@description('OUTLOOK_MESSAGES_PER_MINUTE')
param outlookMessagesPerMinute int

@description('PROVIDER_ALLOWED_NETWORKS')
param providerAllowedNetworks string

@description('RETENTION_DAYS; 0: nothing is removed.')
param retentionDays int

// Storage without a key: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
var storageSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsStorage__blobServiceUri: blobEndpoint
  AzureWebJobsStorage__queueServiceUri: queueEndpoint
  AzureWebJobsStorage__tableServiceUri: tableEndpoint
}

// For the host and for the app's own exporter. PYTHON_ENABLE_OPENTELEMETRY and PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY are not set:
// the worker would load OpenTelemetry before it can answer Microsoft Graph, or look for Azure Monitor's whole distribution.
var telemetrySettings = {
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identityClientId}'
  // The exporter tells Microsoft how it is used, and asks there how to behave, unless it is told not to.
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED: 'true'
}

// Names of secrets, not values. Without a version: the newest is read within a day, or at once after a refresh (infra/README.md).
var secretSettings = {
  CRM_WEBHOOK_SECRETS: '@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=crm-webhook-secrets)'
  ENCRYPTION_KEYS: '@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=encryption-keys)'
  SIGNING_KEYS: '@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=signing-keys)'
  NOTIFICATION_CERTIFICATES: notificationMode == 'rich' ? '@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=notification-certificates)' : ''
}

// ENTRA_CLIENT_SECRET is not set: the Entra application trusts the identity instead.
var syncSettings = {
  PUBLIC_BASE_URL: publicBaseUrl
  GRAPH_BASE_URL: graphBaseUrl
  ENTRA_AUTHORITY: entraAuthority
  ENTRA_CLIENT_ID: entraClientId
  ENTRA_MANAGED_IDENTITY_CLIENT_ID: identityClientId
  CRM_WEBHOOK_URL: crmWebhookUrl
  ALLOWED_RETURN_ORIGINS: allowedReturnOrigins
  NOTIFICATION_MODE: notificationMode
  // Microsoft Graph gives a rich subscription a day at most, which the app asks for an hour less of.
  SUBSCRIPTION_MINUTES: string(notificationMode == 'rich' ? min(subscriptionMinutes, 1380) : subscriptionMinutes)
  FORWARDED_MESSAGES: forwardedMessages
  OUTLOOK_MESSAGES_PER_MINUTE: string(outlookMessagesPerMinute)
  PROVIDER_ALLOWED_NETWORKS: providerAllowedNetworks
  RETENTION_DAYS: retentionDays == 0 ? '' : string(retentionDays)
}

module plan 'br/public:avm/res/web/serverfarm:0.7.0' = {
  name: 'plan'
  params: {
    name: planName
    location: location
    tags: tags
    kind: 'functionapp'
    skuName: 'FC1'
    reserved: true
    zoneRedundant: zoneRedundant
    enableTelemetry: false
  }
}

module site 'br/public:avm/res/web/site:0.23.0' = {
  name: 'site'
  params: {
    name: name
    location: location
    tags: union(tags, { 'azd-service-name': 'sync' })
    kind: 'functionapp,linux'
    serverFarmResourceId: plan.outputs.resourceId
    reserved: true
    managedIdentities: { userAssignedResourceIds: [identityResourceId] }
    keyVaultAccessIdentityResourceId: identityResourceId
    httpsOnly: true
    clientAffinityEnabled: false
    // Microsoft Graph and browsers have to reach it, with and without a virtual network.
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetResourceId: empty(subnetResourceId) ? null : subnetResourceId
    // Deploying needs a role at Azure, never the password of a publish profile.
    basicPublishingCredentialsPolicies: [
      { name: 'ftp', allow: false }
      { name: 'scm', allow: false }
    ]
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${deploymentContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityResourceId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: httpAlwaysReadyInstances == 0 ? [] : [{ name: 'http', instanceCount: httpAlwaysReadyInstances }]
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
    }
    siteConfig: {
      alwaysOn: false
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
    configs: [
      {
        name: 'appsettings'
        // This file is the whole truth: a setting made by hand is gone after the next provisioning.
        retainCurrentAppSettings: false
        properties: union(storageSettings, telemetrySettings, secretSettings, syncSettings)
      }
    ]
    // The host's own log, for a host that can't even start. Not allLogs: HTTP logs hold whole addresses, with sign-in codes in them.
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceResourceId
        logCategoriesAndGroups: [{ category: 'FunctionAppLogs' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
    enableTelemetry: false
  }
}
