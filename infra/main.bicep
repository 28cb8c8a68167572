/*
Everything the sync needs in Azure, in one resource group. `azd up` runs it; infra/README.md tells the way from an empty
subscription.

Whatever an Azure Verified Module gives is taken from there (br/public:avm, https://aka.ms/avm), pinned. There is no key and no
password in this template, in its parameters or in its outputs: storage and telemetry are reached with the app's identity, and the
three secrets that remain are put into the Key Vault by an operator.
*/
targetScope = 'subscription'

@description('Name of the azd environment; every name is made from it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything. Flex Consumption is not in all: az functionapp list-flexconsumption-locations')
@metadata({ azd: { type: 'location' } })
param location string

@description('Application (client) id of the Entra application: what infra/register-app.sh prints.')
@minLength(36)
@maxLength(36)
param entraClientId string

@description('Where events are pushed to: an https address of the CRM.')
param crmWebhookUrl string

@description('Origins that return_url may be on, separated by commas.')
param allowedReturnOrigins string

@description('Where the app is reached from outside, if that is not the address Azure gives it: a domain of yours.')
param customBaseUrl string = ''

@description('Who puts the secrets into the Key Vault: the object id of a user or group. azd fills in who runs it. Empty: nobody.')
param operatorPrincipalId string = ''

@description('Where alerts are mailed to. Empty: alerts are shown in the portal only.')
param alertEmail string = ''

// How the app runs. Prices: Flex Consumption, pay as you go, East US, before tax, as public documents quoted them on 2026-11-28;
// a month has 730 hours. Azure's own list: https://azure.microsoft.com/pricing/details/functions/

@description('''
Instances that are always ready for the HTTP functions (sign-ins, the API, notifications of Microsoft Graph). 0 saves their price,
and lets the first request after a quiet time wait for a cold start of some seconds. A person waits then, and Graph gives a
validation 10 s and calls a receiver slow that needs more than 3 s, whose notifications it then delays or drops.
Price: 2 GB x 2,628,000 s x USD 0.000004 = USD 21.02 a month for each instance of 2,048 MB, and USD 0.000016 per GB-second while it works.
''')
@minValue(0)
@maxValue(100)
param httpAlwaysReadyInstances int = 1

@description('''
HTTP requests that one instance works on at a time. Python's default on Flex Consumption is 1: each request of a burst would need an
instance of its own, with its cold start and at least one billed second (1 s x 2 GB x USD 0.000026 = USD 0.00005 each). All of this
app is async and waits more than it computes, so that 16 share an instance well, and the second of an instance costs the same
however many share it.
''')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 16

@description('Memory of an instance in MB. 2,048 has a whole core; 512 costs a quarter and has a quarter of a core.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances at a time: the ceiling of cost. The region\'s quota is 250 cores by default for all Flex Consumption apps.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('Spread over availability zones: storage too; at least two always-ready instances. Not every region has them.')
param zoneRedundant bool = false

@description('''
Storage and Key Vault only through private endpoints in a virtual network of its own. The app itself stays public, since Microsoft
Graph and browsers have to reach it. Price: four endpoints x 730 h x USD 0.01 = USD 29.20 a month, and USD 0.01 per GB.
''')
param vnetEnabled bool = false

@description('With vnetEnabled: public addresses (CIDR, separated by commas) that may still reach the Key Vault, for the operator.')
param operatorAddresses string = ''

@description('Days that logs and metrics of the app are kept. The first 30 are in the price of ingestion.')
@allowed([30, 60, 90, 120, 180, 270, 365, 550, 730])
param logRetentionInDays int = 30

// The optional app settings; README.md, "Settings", says what each does.

@description('GRAPH_BASE_URL: another one in a national cloud.')
param graphBaseUrl string = 'https://graph.microsoft.com/v1.0'

@description('ENTRA_AUTHORITY: another one in a national cloud, or a tenant instead of organizations to admit only that.')
#disable-next-line no-hardcoded-env-urls
param entraAuthority string = 'https://login.microsoftonline.com/organizations'

@description('NOTIFICATION_MODE. With rich the Key Vault needs a fourth secret, notification-certificates: infra/README.md.')
@allowed(['basic', 'rich'])
param notificationMode string = 'basic'

@description('SUBSCRIPTION_MINUTES; with rich notifications 1,380 at most.')
@minValue(45)
@maxValue(10080)
param subscriptionMinutes int = 8640

@description('FORWARDED_MESSAGES')
@allowed(['sync', 'withhold'])
param forwardedMessages string = 'sync'

@description('OUTLOOK_MESSAGES_PER_MINUTE')
@minValue(1)
@maxValue(3600)
param outlookMessagesPerMinute int = 30

@description('PROVIDER_ALLOWED_NETWORKS: networks, separated by commas. Empty: none.')
param providerAllowedNetworks string = ''

@description('RETENTION_DAYS; 0: nothing is removed.')
@minValue(0)
@maxValue(36500)
param retentionDays int = 0

var abbreviations = loadJsonContent('./abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var functionAppName = '${abbreviations.functionApp}${token}'
var publicBaseUrl = empty(customBaseUrl) ? 'https://${functionAppName}.azurewebsites.net' : customBaseUrl

resource rg 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}'
  location: location
  tags: tags
}

// The one identity of the app: for storage, Key Vault, telemetry, and as its credential at Entra ID.
module identity 'br/public:avm/res/managed-identity/user-assigned-identity:0.4.1' = {
  name: 'identity'
  scope: rg
  params: {
    name: '${abbreviations.managedIdentity}${token}'
    location: location
    tags: tags
    enableTelemetry: false
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: rg
  params: {
    workspaceName: '${abbreviations.logAnalyticsWorkspace}${token}'
    applicationInsightsName: '${abbreviations.applicationInsights}${token}'
    location: location
    tags: tags
    retentionInDays: logRetentionInDays
  }
}

module network 'app/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: rg
  params: {
    name: '${abbreviations.virtualNetwork}${token}'
    subnetPrefix: abbreviations.subnet
    location: location
    tags: tags
  }
}

module storage 'app/storage.bicep' = {
  name: 'storage'
  scope: rg
  params: {
    name: '${abbreviations.storageAccount}${token}'
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    workspaceResourceId: monitoring.outputs.workspaceResourceId
    endpointSubnetResourceId: vnetEnabled ? network!.outputs.endpointSubnetResourceId : ''
    endpointZoneResourceIds: vnetEnabled ? network!.outputs.storageZoneResourceIds : []
    endpointPrefix: abbreviations.privateEndpoint
  }
}

module vault 'app/vault.bicep' = {
  name: 'vault'
  scope: rg
  params: {
    name: '${abbreviations.keyVault}${token}'
    location: location
    tags: tags
    workspaceResourceId: monitoring.outputs.workspaceResourceId
    endpointSubnetResourceId: vnetEnabled ? network!.outputs.endpointSubnetResourceId : ''
    endpointZoneResourceIds: vnetEnabled ? network!.outputs.vaultZoneResourceIds : []
    endpointPrefix: abbreviations.privateEndpoint
    operatorAddresses: operatorAddresses
  }
}

// Before the function app: its host needs the roles as soon as it starts.
module roles 'app/roles.bicep' = {
  name: 'roles'
  scope: rg
  params: {
    storageAccountName: storage.outputs.name
    keyVaultName: vault.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    identityPrincipalId: identity.outputs.principalId
    operatorPrincipalId: operatorPrincipalId
  }
}

module function 'app/function.bicep' = {
  name: 'function'
  scope: rg
  dependsOn: [roles]
  params: {
    name: functionAppName
    planName: '${abbreviations.appServicePlan}${token}'
    location: location
    tags: tags
    identityResourceId: identity.outputs.resourceId
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    deploymentContainerName: storage.outputs.deploymentContainerName
    keyVaultName: vault.outputs.name
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    workspaceResourceId: monitoring.outputs.workspaceResourceId
    subnetResourceId: vnetEnabled ? network!.outputs.appSubnetResourceId : ''
    httpAlwaysReadyInstances: zoneRedundant ? max(2, httpAlwaysReadyInstances) : httpAlwaysReadyInstances
    httpConcurrency: httpConcurrency
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    zoneRedundant: zoneRedundant
    publicBaseUrl: publicBaseUrl
    graphBaseUrl: graphBaseUrl
    entraAuthority: entraAuthority
    entraClientId: entraClientId
    crmWebhookUrl: crmWebhookUrl
    allowedReturnOrigins: allowedReturnOrigins
    notificationMode: notificationMode
    subscriptionMinutes: subscriptionMinutes
    forwardedMessages: forwardedMessages
    outlookMessagesPerMinute: outlookMessagesPerMinute
    providerAllowedNetworks: providerAllowedNetworks
    retentionDays: retentionDays
  }
}

module actionGroup 'br/public:avm/res/insights/action-group:0.8.0' = if (!empty(alertEmail)) {
  name: 'action-group'
  scope: rg
  params: {
    name: '${abbreviations.actionGroup}${token}'
    groupShortName: 'mailsync'
    location: 'global'
    tags: tags
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
    enableTelemetry: false
  }
}

module alerts 'app/alerts.bicep' = {
  name: 'alerts'
  scope: rg
  params: {
    name: token
    location: location
    tags: tags
    workspaceResourceId: monitoring.outputs.workspaceResourceId
    applicationInsightsResourceId: monitoring.outputs.applicationInsightsResourceId
    actionGroupResourceIds: empty(alertEmail) ? [] : [actionGroup!.outputs.resourceId]
  }
}

module workbook 'app/workbook.bicep' = {
  name: 'workbook'
  scope: rg
  params: {
    name: token
    location: location
    tags: tags
    applicationInsightsResourceId: monitoring.outputs.applicationInsightsResourceId
  }
}

@description('The resource group that everything is in.')
output AZURE_RESOURCE_GROUP string = rg.name

@description('The function app, for func azure functionapp publish and az functionapp.')
output FUNCTION_APP_NAME string = functionAppName

@description('Where the app is reached from outside.')
output PUBLIC_BASE_URL string = publicBaseUrl

@description('The Key Vault that the three secrets belong in.')
output KEY_VAULT_NAME string = vault.outputs.name

@description('Object id of the app\'s identity, which the Entra application has to trust.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
