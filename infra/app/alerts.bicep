// What wakes people: log search alerts over the metrics and logs that the app and the Functions host export.
//
// Each alert has its entry in infra/RUNBOOK.md, under its key: symptom, query, what it means, what to do, how to verify.
// tests/unit/test_alerts.py holds the queries against the metrics the code emits, with Microsoft's own KQL parser.
// Queries: '{app}' stands for the Application Insights resource, since a workspace can hold more than one.
metadata description = 'Log search alerts of the email sync, each with an entry in infra/RUNBOOK.md.'

@description('First part of the alerts\' names.')
param name string

param location string = resourceGroup().location

param tags object = {}

@description('The Log Analytics workspace that Application Insights writes to.')
param workspaceResourceId string

@description('The Application Insights resource of the app.')
param applicationInsightsResourceId string

@description('Whom to tell; with none, alerts only show in the portal.')
param actionGroupResourceIds array = []

@description('Where an engineer reads on.')
param runbook string = 'infra/RUNBOOK.md'

// Thresholds. A reason beside each: change it with the reason.

@description('Messages in a poison queue. Work is given up after five tries in a row, which never is normal.')
param poisonMessages int = 0

@description('Seconds. A queue is emptied within seconds; Graph slowed down to 1 call in 4 s for a mailbox still stays below this.')
param queueAgeSeconds int = 300

@description('Percent of tries that the CRM did not accept. One bad account of several stays below half.')
param failedDeliveriesPercent int = 50

@description('Seconds from the mailbox to the CRM, 95th percentile. The product promises one minute; Graph itself may need three.')
param deliveryDelaySeconds int = 180

@description('Percent of calls that Graph throttled, failed or did not answer. The app repeats them; at one in ten, users notice.')
param troubledGraphPercent int = 10

@description('Notifications with a wrong clientState in 15 minutes. One or two are stray; more are an attack, or a key that was removed too early.')
param forgedNotifications int = 10

@description('Subscriptions. Each is renewed at half of its lifetime: one that has less than a quarter left has failed for more than a day.')
param subscriptionsNearExpiry int = 0

@description('Connections that came to need a new sign-in within a day. A few people change their password each day; more is an incident.')
param moreReconnects int = 10

@description('Connected mailboxes from which on six hours without any notification can not be chance.')
param mailboxesThatAreNeverSilent int = 20

@description('Posts of Graph in 5 minutes that were answered with 5xx. Graph repeats them for 4 hours, and drops an app that fails 10 % of them.')
param refusedPosts int = 5

@description('Percent of the CRM\'s emails that failed or bounced. Addresses that do not exist are a few percent.')
param failedEmailsPercent int = 20

var rules = [
  {
    key: 'poison-appeared'
    title: 'Work was given up and waits for people'
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.poison'
| summarize Value = max(Max) by Queue = tostring(Properties['queue'])
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: poisonMessages
    dimension: 'Queue'
    periods: 1
    failing: 1
  }
  {
    key: 'queue-age'
    title: 'Messages wait too long in a queue'
    severity: 2
    every: 'PT5M'
    window: 'PT5M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.queue.age'
| summarize Value = max(Max) by Queue = tostring(Properties['queue'])
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: queueAgeSeconds
    dimension: 'Queue'
    periods: 3
    failing: 2
  }
  {
    key: 'deliveries-off'
    title: 'Deliveries to the CRM are switched off'
    severity: 1
    every: 'PT5M'
    window: 'PT5M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.webhook.off'
| summarize Value = max(Max)
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 0
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'deliveries-failing'
    title: 'The CRM does not accept events'
    severity: 2
    every: 'PT5M'
    window: 'PT15M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.deliveries.attempts'
| summarize Tries = sum(Sum), Accepted = sumif(Sum, tostring(Properties['outcome']) == 'accepted')
| project Value = iff(Tries < 20, 0.0, 100.0 * (Tries - Accepted) / Tries)
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: failedDeliveriesPercent
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'delivery-delay'
    title: 'Mail reaches the CRM late'
    severity: 2
    every: 'PT15M'
    window: 'PT30M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.deliveries.delay' and ItemCount > 0
| summarize Value = percentilew(Sum / ItemCount, ItemCount, 95)
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: deliveryDelaySeconds
    dimension: ''
    periods: 2
    failing: 2
  }
  {
    key: 'graph-trouble'
    title: 'Microsoft Graph throttles or fails'
    severity: 3
    every: 'PT15M'
    window: 'PT15M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.graph.requests'
| extend Status = toint(Properties['http.response.status_code']), Error = tostring(Properties['error.type'])
| summarize Calls = sum(Sum), Troubled = sumif(Sum, Status == 429 or Status >= 500 or isnotempty(Error))
| project Value = iff(Calls < 50, 0.0, 100.0 * Troubled / Calls)
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: troubledGraphPercent
    dimension: ''
    periods: 2
    failing: 2
  }
  {
    key: 'forged-notifications'
    title: 'Notifications with a wrong clientState'
    severity: 2
    every: 'PT5M'
    window: 'PT15M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.notifications.dropped'
| where tostring(Properties['reason']) == 'forged'
| summarize Value = sum(Sum)
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: forgedNotifications
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'subscriptions-near-expiry'
    title: 'Subscriptions end soon and are not renewed'
    severity: 2
    every: 'PT30M'
    window: 'PT1H'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.subscriptions.near_expiry'
| summarize arg_max(TimeGenerated, Max)
| project Value = Max
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: subscriptionsNearExpiry
    dimension: ''
    periods: 2
    failing: 2
  }
  {
    key: 'reconnects-rising'
    title: 'More and more people have to sign in again'
    severity: 2
    every: 'PT1H'
    window: 'P1D'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.connections'
| where tostring(Properties['state']) == 'needs_reconnect'
| summarize First = arg_min(TimeGenerated, Max), Last = arg_max(TimeGenerated, Max)
| project Value = Max1 - Max
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: moreReconnects
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'operator-alarm'
    title: 'The app asks for its operator'
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    query: '''
AppTraces
| where _ResourceId =~ '{app}' and Message startswith 'operator alarm'
| summarize Value = todouble(count())
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 0
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'no-notifications'
    title: 'Microsoft Graph tells nothing although mailboxes are connected'
    severity: 2
    every: 'PT1H'
    window: 'PT6H'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name in ('sync.notifications.accepted', 'sync.connections')
| summarize
    Accepted = sumif(Sum, Name == 'sync.notifications.accepted' and tostring(Properties['kind']) == 'change'),
    Connected = maxif(Max, Name == 'sync.connections' and tostring(Properties['state']) == 'connected')
| project Value = iff(Accepted > 0, 0.0, coalesce(Connected, 0.0))
'''
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: mailboxesThatAreNeverSilent
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'notifications-refused'
    title: 'Posts of Microsoft Graph are answered with an error'
    severity: 1
    every: 'PT5M'
    window: 'PT5M'
    query: '''
AppRequests
| where _ResourceId =~ '{app}'
| where Name has_any ('http_graph_notifications', 'http_graph_lifecycle', 'graph/notifications', 'graph/lifecycle')
| summarize Value = todouble(countif(toint(ResultCode) >= 500))
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: refusedPosts
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'app-silent'
    title: 'The app does not measure itself any more'
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.queue.length'
| summarize Value = todouble(count())
'''
    aggregation: 'Maximum'
    operator: 'LessThan'
    threshold: 1
    dimension: ''
    periods: 1
    failing: 1
  }
  {
    key: 'emails-failing'
    title: 'Emails of the CRM fail or bounce'
    severity: 3
    every: 'PT15M'
    window: 'PT1H'
    query: '''
AppMetrics
| where _ResourceId =~ '{app}' and Name == 'sync.messages.sent'
| extend Outcome = tostring(Properties['outcome']), Via = tostring(Properties['via'])
| summarize Good = sumif(Sum, Outcome == 'sent'), Bad = sumif(Sum, Outcome != 'sent') by Via
| project Via, Value = iff(Good + Bad < 20, 0.0, 100.0 * Bad / (Good + Bad))
'''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: failedEmailsPercent
    dimension: 'Via'
    periods: 1
    failing: 1
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${name}-${rule.key}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: '${rule.title}. What to do: ${runbook}#${rule.key}'
      severity: rule.severity
      enabled: true
      scopes: [workspaceResourceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      // The first deployment comes before the first value of any metric.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: replace(rule.query, '{app}', applicationInsightsResourceId)
            timeAggregation: rule.aggregation
            metricMeasureColumn: 'Value'
            operator: rule.operator
            threshold: rule.threshold
            dimensions: empty(rule.dimension) ? [] : [{ name: rule.dimension, operator: 'Include', values: ['*'] }]
            failingPeriods: {
              numberOfEvaluationPeriods: rule.periods
              minFailingPeriodsToAlert: rule.failing
            }
          }
        ]
      }
      actions: {
        actionGroups: actionGroupResourceIds
      }
    }
  }
]
