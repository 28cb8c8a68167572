/* Log Analytics and Application Insights: where telemetry goes. Nobody writes there with a key, only identities with the role. */

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('Name of Application Insights.')
param applicationInsightsName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Days that data is kept.')
@allowed([30, 60, 90, 120, 180, 270, 365, 550, 730])
param retentionInDays int

module workspace 'br/public:avm/res/operational-insights/workspace:0.13.0' = {
  name: 'workspace'
  params: {
    name: workspaceName
    location: location
    tags: tags
    skuName: 'PerGB2018'
    dataRetention: retentionInDays
    features: { disableLocalAuth: true }
    enableTelemetry: false
  }
}

module applicationInsights 'br/public:avm/res/insights/component:0.7.1' = {
  name: 'application-insights'
  params: {
    name: applicationInsightsName
    location: location
    tags: tags
    applicationType: 'web'
    kind: 'web'
    workspaceResourceId: workspace.outputs.resourceId
    retentionInDays: retentionInDays
    disableLocalAuth: true
    enableTelemetry: false
  }
}

@description('Resource id of the Log Analytics workspace.')
output workspaceResourceId string = workspace.outputs.resourceId

@description('Resource id of Application Insights.')
output applicationInsightsResourceId string = applicationInsights.outputs.resourceId

@description('Name of Application Insights.')
output applicationInsightsName string = applicationInsights.outputs.name

@description('Where telemetry is sent to. No secret: with local auth off its key opens nothing.')
output connectionString string = applicationInsights.outputs.connectionString
