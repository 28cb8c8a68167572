/*
The Key Vault of the three secrets that remain: encryption-keys, signing-keys, crm-webhook-secrets. An operator puts them in
(infra/README.md, step 5); this template never sees them. Who may read is decided by roles (roles.bicep), not by access policies.
*/

@description('Name of the Key Vault.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Log Analytics workspace for diagnostics.')
param workspaceResourceId string

@description('Subnet for the private endpoint. Empty: a public address, for identities only.')
param endpointSubnetResourceId string

@description('Private DNS zone of Key Vaults. Empty without a private endpoint.')
param endpointZoneResourceIds array

@description('What names of private endpoints begin with.')
param endpointPrefix string

@description('With a private endpoint: public addresses (CIDR, separated by commas) that may still reach it.')
param operatorAddresses string

var private = !empty(endpointSubnetResourceId)
var addresses = empty(operatorAddresses) ? [] : split(operatorAddresses, ',')

module vault 'br/public:avm/res/key-vault/vault:0.13.3' = {
  name: 'key-vault'
  params: {
    name: name
    location: location
    tags: tags
    sku: 'standard'
    enableRbacAuthorization: true
    // Nothing but the app reads it: no virtual machine, template or disk encryption.
    enableVaultForDeployment: false
    enableVaultForTemplateDeployment: false
    enableVaultForDiskEncryption: false
    // A lost encryption key makes every sign-in unreadable: what is deleted can be brought back for 90 days, whoever deleted it.
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: private && empty(addresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
      ipRules: [for address in addresses: { value: trim(address) }]
    }
    privateEndpoints: [
      for zone in endpointZoneResourceIds: {
        name: '${endpointPrefix}${name}'
        service: 'vault'
        subnetResourceId: endpointSubnetResourceId
        privateDnsZoneGroup: {
          privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zone }]
        }
        tags: tags
      }
    ]
    // Who read or wrote which secret, and when; never its value.
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceResourceId
        logCategoriesAndGroups: [{ categoryGroup: 'audit' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
    enableTelemetry: false
  }
}

@description('Name of the Key Vault.')
output name string = vault.outputs.name
