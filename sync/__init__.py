"""
Two-way Outlook email sync for a CRM.

Every thread that begins with an email sent from the CRM is kept in sync both ways; nothing else of the mailbox is.

How data moves. Rows are the truth, queue messages (in brackets) are wake-up pointers that hold ids only::

    connect   CRM -> http_start_sign_in -> flows/connect.begin -> sign_ins                      => sign_in_url
              browser -> http_connect -> flows/connect.open_link -> entra -> 302 Microsoft
              Microsoft -> http_oauth_callback -> flows/connect.park -> sealed row              => 302 CRM
              CRM -> http_complete_sign_in -> flows/connect.complete -> entra -> connections -> [mailbox-watch]
              [mailbox-watch] -> queue_mailbox_watch -> flows/watch.keep -> graph_subscriptions -> [crm-deliveries]
    page      CRM -> http_open_settings_page -> flows/settings_page.link                           => url, token in its fragment
              page -> http_settings_… -> domain/settings_page.read -> flows/settings_page -> connect | disconnect | connections
    delete    CRM -> http_delete_connection -> flows/disconnect -> connections -> graph_subscriptions   => 200
              with erase=true -> flows/erase -> disconnect, then everything that was synced -> [erasures]
    refused   any call to Graph or Entra ID -> flows/reconnect -> domain/trouble -> connections -> [crm-deliveries]
    provider  CRM -> http_put_provider -> flows/provider -> smtp (connect and log in) -> providers (sealed) => 200
    send      CRM -> http_send_message -> flows/accept -> flows/sender, domain/outgoing, batch -> journal -> [mail-sends]
              [mail-sends] -> queue_mail_send -> flows/send -> through_outlook, draft -> graph_mail  -> outcome -> journal
                                                            -> through_provider       -> smtp                -> [crm-deliveries]
    bulk      as send, one row for all -> [mail-batches] -> queue_mail_batch -> flows/bulk -> pacing -> journal -> [mail-sends]
    cancel    CRM -> http_cancel_batch | http_cancel_message -> flows/cancel -> journal         => 200
    receive   Graph -> http_graph_notifications -> flows/receive.acknowledge -> domain/notification -> [mail-changes]
              [mail-changes] -> queue_mail_change -> flows/receive.fetch -> graph_mail -> domain/thread_rule,
              attachment_rule -> journal -> [crm-deliveries]
              rich: what Graph encrypted goes along in [mail-changes] -> resource_data -> certificates, entra_keys, instead of
              graph_mail's keys
    bounce    a delivery report among them -> flows/bounce -> graph_mail -> domain/delivery_report -> journal -> [crm-deliveries]
    catch up  [mailbox-catch-up] -> queue_mailbox_catch_up -> flows/catch_up -> graph_mail -> flows/receive.take
    deliver   [crm-deliveries] -> queue_crm_delivery -> flows/deliver -> turns, webhook -> crm -> journal
    again     CRM -> http_redeliver_events -> flows/redeliver -> [crm-redeliveries]               => 202
              [crm-redeliveries] -> queue_crm_redelivery -> flows/redeliver -> journal -> [crm-deliveries]
    off, on   the CRM took nothing -> flows/webhook -> domain/webhook -> webhooks                 (an operator's alarm)
              operator -> http_enable_webhook -> flows/webhook -> webhooks -> [crm-undelivered]   => 200
              [crm-undelivered] -> queue_crm_undelivered -> flows/redeliver -> journal -> [crm-deliveries]
    remove    timer_remove_old -> [retention] -> queue_remove_old -> flows/retention -> domain/retention -> what is old goes
    explain   CRM -> http_explain -> flows/explain -> graph_mail (keys only) -> flows/belonging -> domain/explanation => 200
    checks    operator -> http_status -> flows/checks -> storage, entra, graph, our own address, crm -> domain/check => 200
    sweep     timer_sweep -> flows/sweep -> whatever is due and lost its wake-up is queued again
    watch us  timer_queue_gauges | timer_mailbox_gauges -> flows/gauges -> tally -> telemetry -> Application Insights, OTLP
              an event is told, a call is made, Graph posts -> domain/readings -> tally; each job carries its trace (trace, jobs)
    poison    a queue function raises -> wiring/noting -> flows/poison -> domain/failure -> poison (table failures)
              CRM -> http_status | http_replay_poison -> flows/poison -> poison (queues)        => 200
              timer_poison -> flows/poison.keep -> poison (queues): what was given up never expires
    describe  anybody -> http_openapi | http_docs -> api/reference                                 => 200

Who may import whom (tests/unit/test_import_rule.py holds us to it):

    domain          nothing of ours: no I/O, no clock, no environment, no logging
    jobs            nothing of ours
    trace           nothing of ours: the trace that the code runs in
    adapters        domain, jobs, trace; one file per outside system
    flows           domain, jobs, flows.ports; one file per story
    settings        domain
    wiring          everything above: the only place where adapters meet flows
    api             domain, trace: HTTP shapes, errors to status codes
    function_app    wiring, api, jobs
"""
