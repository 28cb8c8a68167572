/* The optional virtual network: a subnet that the app looks out of, one for private endpoints, and the DNS that leads there. */

@description('Name of the virtual network.')
param name string

@description('What names of subnets begin with.')
param subnetPrefix string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
]

module network 'br/public:avm/res/network/virtual-network:0.7.1' = {
  name: 'virtual-network'
  params: {
    name: name
    location: location
    tags: tags
    addressPrefixes: ['10.0.0.0/16']
    subnets: [
      {
        name: '${subnetPrefix}app'
        addressPrefix: '10.0.0.0/24'
        // What Flex Consumption asks for (https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to).
        delegation: 'Microsoft.App/environments'
      }
      {
        name: '${subnetPrefix}endpoints'
        addressPrefix: '10.0.1.0/24'
      }
    ]
    enableTelemetry: false
  }
}

module zones 'br/public:avm/res/network/private-dns-zone:0.8.0' = [
  for (zone, place) in zoneNames: {
    name: 'private-dns-zone-${place}'
    params: {
      name: zone
      tags: tags
      virtualNetworkLinks: [
        {
          virtualNetworkResourceId: network.outputs.resourceId
          registrationEnabled: false
        }
      ]
      enableTelemetry: false
    }
  }
]

@description('Subnet of the app.')
output appSubnetResourceId string = network.outputs.subnetResourceIds[0]

@description('Subnet of the private endpoints.')
output endpointSubnetResourceId string = network.outputs.subnetResourceIds[1]

@description('Private DNS zones of blob, queue and table, in this order.')
output storageZoneResourceIds array = [zones[0].outputs.resourceId, zones[1].outputs.resourceId, zones[2].outputs.resourceId]

@description('Private DNS zone of Key Vaults.')
output vaultZoneResourceIds array = [zones[3].outputs.resourceId]
