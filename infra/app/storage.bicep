/*
The one storage account: the app's tables, queues and blobs, the Functions host's own blobs, and the deployed package. Containers,
queues and tables of the app are made by the app when it first uses them.
*/

@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Three copies in different zones instead of one.')
param zoneRedundant bool

@description('Log Analytics workspace for diagnostics.')
param workspaceResourceId string

@description('Subnet for private endpoints. Empty: public addresses, for identities only.')
param endpointSubnetResourceId string

@description('Private DNS zones of blob, queue and table, in this order. Empty without private endpoints.')
param endpointZoneResourceIds array

@description('What names of private endpoints begin with.')
param endpointPrefix string

var deploymentContainerName = 'app-package'
var private = !empty(endpointSubnetResourceId)
var services = private ? ['blob', 'queue', 'table'] : []

module account 'br/public:avm/res/storage/storage-account:0.32.0' = {
  name: 'storage-account'
  params: {
    name: name
    location: location
    tags: tags
    kind: 'StorageV2'
    skuName: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
    blobServices: {
      // What a deletion removes has to be gone: no copies are kept of erased mail (README.md, "How long things are kept").
      deleteRetentionPolicyEnabled: false
      containerDeleteRetentionPolicyEnabled: false
      containers: [{ name: deploymentContainerName, publicAccess: 'None' }]
    }
    privateEndpoints: [
      for (service, place) in services: {
        name: '${endpointPrefix}${name}-${service}'
        service: service
        subnetResourceId: endpointSubnetResourceId
        privateDnsZoneGroup: {
          privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: endpointZoneResourceIds[place] }]
        }
        tags: tags
      }
    ]
    // Metrics only: a log line for each read and write would cost more than the storage.
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceResourceId
        metricCategories: [{ category: 'Transaction' }]
      }
    ]
    enableTelemetry: false
  }
}

@description('Name of the storage account.')
output name string = account.outputs.name

@description('Container that deployed packages are put into.')
output deploymentContainerName string = deploymentContainerName

@description('Address of the blob service, with a slash at its end.')
output blobEndpoint string = account.outputs.serviceEndpoints.blob

@description('Address of the queue service, with a slash at its end.')
output queueEndpoint string = account.outputs.serviceEndpoints.queue

@description('Address of the table service, with a slash at its end.')
output tableEndpoint string = account.outputs.serviceEndpoints.table
