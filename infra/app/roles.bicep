/*
Every role that is assigned, and nothing else. Each is on the one resource that it is needed for; none lets anybody change the
resource itself. The names are Azure's own (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles).
*/

@description('Name of the storage account.')
param storageAccountName string

@description('Name of the Key Vault.')
param keyVaultName string

@description('Name of Application Insights.')
param applicationInsightsName string

@description('Object id of the app\'s identity.')
param identityPrincipalId string

@description('Object id of who puts the secrets into the Key Vault. Empty: nobody.')
param operatorPrincipalId string

// https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
var onStorage = [
  {
    role: 'Storage Blob Data Owner'
    id: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
    reason: 'The Functions host keeps locks, keys and timer states in blobs and asks for this role; the app keeps bodies, attachments and sealed token caches there, and the package is read from there.'
  }
  {
    role: 'Storage Queue Data Contributor'
    id: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
    reason: 'Queue triggers and outputs; the app makes its queues, and puts back what was given up.'
  }
  {
    role: 'Storage Table Data Contributor'
    id: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
    reason: 'The rows are the truth: the app makes its tables, reads and writes them.'
  }
]
var onKeyVault = [
  {
    role: 'Key Vault Secrets User'
    id: '4633458b-17de-408a-b874-0445c86b69e6'
    reason: 'App settings that are Key Vault references are read with the app\'s identity.'
  }
]
var onApplicationInsights = [
  {
    role: 'Monitoring Metrics Publisher'
    id: '3913510d-42f4-4e42-8a64-420c390055eb'
    reason: 'The host and the app send telemetry with the app\'s identity: local auth is off.'
  }
]
var operatorOnKeyVault = [
  {
    role: 'Key Vault Secrets Officer'
    id: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
    reason: 'The operator puts the secrets in and rotates them.'
  }
]

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageAccountName
}

resource keyVault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: keyVaultName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource storageGrants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onStorage: {
    name: guid(storage.id, identityPrincipalId, grant.id)
    scope: storage
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      description: grant.reason
    }
  }
]

resource keyVaultGrants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onKeyVault: {
    name: guid(keyVault.id, identityPrincipalId, grant.id)
    scope: keyVault
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      description: grant.reason
    }
  }
]

resource applicationInsightsGrants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onApplicationInsights: {
    name: guid(applicationInsights.id, identityPrincipalId, grant.id)
    scope: applicationInsights
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      description: grant.reason
    }
  }
]

// Without a principalType: a user, a group, or the identity of a pipeline.
resource operatorGrants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in (empty(operatorPrincipalId) ? [] : operatorOnKeyVault): {
    name: guid(keyVault.id, operatorPrincipalId, grant.id)
    scope: keyVault
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.id)
      principalId: operatorPrincipalId
      description: grant.reason
    }
  }
]
