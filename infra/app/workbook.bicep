// The page that shows how the sync is doing: workbook.json, with every metric of the app.
metadata description = 'Workbook of the email sync on its Application Insights resource.'

@description('What the workbook is called in the portal.')
param name string

param location string = resourceGroup().location

param tags object = {}

@description('The Application Insights resource of the app.')
param applicationInsightsResourceId string

var content = replace(loadTextContent('workbook.json'), '{application-insights}', applicationInsightsResourceId)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // Workbooks are named by a GUID; the same app has the same one each time.
  name: guid(resourceGroup().id, name)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: name
    category: 'workbook'
    sourceId: applicationInsightsResourceId
    version: 'Notebook/1.0'
    serializedData: content
  }
}
