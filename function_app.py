"""
Every trigger of the app: read the binding, call one flow, bind its result. No rule is decided here.

    http_    the CRM's API (function key), the browser's sign-in, Microsoft Graph's notifications (both anonymous)
    queue_   the work behind them
    timer_   what nobody calls
"""

from typing import List  # noqa: UP035 - Microsoft's worker library refuses func.Out[List[str]]

import azure.functions as func

from sync import api, jobs, wiring

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
flows = wiring.build()

STORAGE = "AzureWebJobsStorage"
USER = "v1/accounts/{account_id}/users/{user_id}"
ACCOUNT = "v1/accounts/{account_id}"


# Connecting a mailbox.


@app.route(route=f"{USER}/connection/sign-in", methods=["POST"])
@api.endpoint
async def http_start_sign_in(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import SignInRequest, read

    body = read(SignInRequest, api.json_body(req))
    url, sign_in = await flows.connect.begin(
        api.account_of(req), api.user_of(req), body.return_url, expected_email=body.expected_email or ""
    )
    return api.answer({"sign_in_url": url, "expires_at": api.rfc3339(sign_in.expires_at)}, 201)


@app.route(route="connect/{token}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.browser_page
async def http_connect(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    to = await flows.connect.open_link(req.route_params["token"])
    return api.redirect(to.location, to.binding, flows.settings.public_base_url)


@app.route(route="oauth/callback", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.browser_page
async def http_oauth_callback(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    if "admin_consent" in req.params:
        await flows.sign_in_ends.approved(api.approved_sign_in(req.params))
        return api.admin_consent_page(req.params)
    to = await flows.connect.park(dict(req.params), api.binding_of(req, flows.settings.public_base_url))
    return api.redirect(to.location, to.binding, flows.settings.public_base_url)


@app.route(route=f"{USER}/connection/complete", methods=["POST"])
@api.endpoint
async def http_complete_sign_in(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import CompleteRequest, read

    body = read(CompleteRequest, api.json_body(req))
    connection = await flows.connect.complete(api.account_of(req), api.user_of(req), body.completion_code)
    return api.answer(api.connection_json(connection))


@app.route(route=f"{USER}/connection", methods=["GET"])
@api.endpoint
async def http_get_connection(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.connection_or_none(*await flows.show.connection(api.account_of(req), api.user_of(req))))


@app.route(route=f"{USER}/connection/default-sender", methods=["PUT"])
@api.endpoint
async def http_set_default_sender(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import DefaultSenderRequest, read

    body = read(DefaultSenderRequest, api.json_body(req))
    await flows.choose_default_sender(api.account_of(req), api.user_of(req), body.default_sender)
    return api.answer(api.connection_or_none(*await flows.show.connection(api.account_of(req), api.user_of(req))))


@app.route(route=f"{USER}/connection", methods=["DELETE"])
@api.endpoint
async def http_delete_connection(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    end = flows.erase.erase if api.wants_erase(req) else flows.disconnect.delete
    return api.answer(api.deleted_json(await end(api.account_of(req), api.user_of(req))))


@app.route(route=f"{USER}/connection/explain", methods=["POST"])
@api.endpoint
async def http_explain(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import ExplainRequest, read

    account_id, user_id, body = api.account_of(req), api.user_of(req), read(ExplainRequest, api.json_body(req))
    return api.answer(api.explanation_json(await flows.explain.explain(account_id, user_id, body.internet_message_id)))


# The settings page: for the CRM to embed, then for the page itself, which proves itself with the token of its link.


@app.route(route=f"{USER}/settings-page", methods=["POST"])
@api.endpoint
async def http_open_settings_page(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import SettingsPageRequest, read

    body = read(SettingsPageRequest, api.json_body(req))
    url, expires_at = flows.settings_page.link(api.account_of(req), api.user_of(req), body.return_url)
    return api.answer({"url": url, "expires_at": api.rfc3339(expires_at)}, 201)


@app.route(route="settings/email", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.browser_page
async def http_settings_page(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.settings_page(flows.settings.allowed_return_origins)


@app.route(route="settings/assets/{name}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_settings_asset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.asset(req)


@app.route(route="settings/email/connection", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_settings_view(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(
        api.settings_json(await flows.settings_page.view(flows.settings_page.visit(api.settings_token(req))))
    )


@app.route(route="settings/email/sign-in", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_settings_sign_in(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    url, sign_in = await flows.settings_page.sign_in(flows.settings_page.visit(api.settings_token(req)))
    return api.answer({"sign_in_url": url, "expires_at": api.rfc3339(sign_in.expires_at)}, 201)


@app.route(route="settings/email/default-sender", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_settings_default_sender(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import DefaultSenderRequest, read

    visit = flows.settings_page.visit(api.settings_token(req))
    body = read(DefaultSenderRequest, api.json_body(req))
    return api.answer(api.settings_json(await flows.settings_page.choose_default_sender(visit, body.default_sender)))


@app.route(route="settings/email/connection", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_settings_delete(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(
        api.settings_json(await flows.settings_page.delete(flows.settings_page.visit(api.settings_token(req))))
    )


# The account's own email provider.


@app.route(route=f"{ACCOUNT}/provider", methods=["PUT"])
@api.endpoint
async def http_put_provider(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import ProviderRequest, read

    account_id, body = api.account_of(req), read(ProviderRequest, api.json_body(req))
    return api.answer(api.provider_json(await flows.provider_settings.put(body.provider(account_id))))


@app.route(route=f"{ACCOUNT}/provider", methods=["GET"])
@api.endpoint
async def http_get_provider(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.provider_json(await flows.provider_settings.get(api.account_of(req))))


@app.route(route=f"{ACCOUNT}/provider", methods=["DELETE"])
@api.endpoint
async def http_delete_provider(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    await flows.provider_settings.delete(api.account_of(req))
    return api.nothing()


# Sending, and looking up.


@app.route(route=f"{ACCOUNT}/messages", methods=["POST"])
@api.endpoint
async def http_send_message(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import send_request

    account_id, key, body = api.account_of(req), api.idempotency_key(req), api.json_body(req)
    accepted = await flows.accept.accept(account_id, key, send_request(body).outgoing(), api.request_hash(body))
    return api.answer(api.accepted_json(accepted), 202)


@app.route(route=f"{ACCOUNT}/messages/resolve-sender", methods=["POST"])
@api.endpoint
async def http_resolve_sender(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import ResolveSenderRequest, read

    body = read(ResolveSenderRequest, api.json_body(req))
    door = await flows.senders.resolve(api.account_of(req), body.user_id, body.kind, body.from_)
    return api.answer(api.sender_json(door.sender))


@app.route(route=f"{ACCOUNT}/messages/{{message_id}}/cancel", methods=["POST"])
@api.endpoint
async def http_cancel_message(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    account_id, message_id = api.account_of(req), req.route_params["message_id"]
    await flows.cancel.message(account_id, message_id)
    return api.answer(api.whole_message_json(*await flows.show.message(account_id, message_id)))


@app.route(route=f"{ACCOUNT}/batches/{{batch_id}}", methods=["GET"])
@api.endpoint
async def http_get_batch(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    batch, counts = await flows.batches.batch(api.account_of(req), req.route_params["batch_id"])
    messages = await flows.batches.messages(batch) if api.wants_messages(req) else None
    return api.answer(api.batch_json(batch, counts, messages))


@app.route(route=f"{ACCOUNT}/batches/{{batch_id}}/cancel", methods=["POST"])
@api.endpoint
async def http_cancel_batch(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.batch_json(*await flows.cancel.batch(api.account_of(req), req.route_params["batch_id"])))


@app.route(route=f"{ACCOUNT}/messages/{{message_id}}", methods=["GET"])
@api.endpoint
async def http_get_message(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    message, body = await flows.show.message(api.account_of(req), req.route_params["message_id"])
    return api.answer(api.whole_message_json(message, body))


@app.route(route=f"{ACCOUNT}/threads", methods=["GET"])
@api.endpoint
async def http_list_threads(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    asked, limit = req.params, api.page_size(req)
    found = await flows.show.threads(
        api.account_of(req), asked.get("contact_id"), asked.get("user_id"), asked.get("after"), limit + 1
    )
    return api.answer(api.threads_json(found, limit))


@app.route(route=f"{ACCOUNT}/threads/{{thread_id}}", methods=["GET"])
@api.endpoint
async def http_get_thread(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    thread, live, messages = await flows.show.thread(api.account_of(req), req.route_params["thread_id"])
    return api.answer(api.thread_json(thread, live, messages))


@app.route(route=f"{ACCOUNT}/attachments/{{attachment_id}}", methods=["GET"])
@api.endpoint
async def http_get_attachment(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.file(*await flows.show.attachment(api.account_of(req), req.route_params["attachment_id"]))


@app.route(route=f"{ACCOUNT}/events", methods=["GET"])
@api.endpoint
async def http_list_events(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    after = api.sequence_after(req)
    events, has_more = await flows.show.events(api.account_of(req), after, api.page_size(req))
    return api.answer(api.events_json(events, after, has_more))


@app.route(route=f"{ACCOUNT}/events/{{event_id}}", methods=["GET"])
@api.endpoint
async def http_get_event(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.event_json(await flows.show.event(api.account_of(req), req.route_params["event_id"])))


@app.route(route=f"{ACCOUNT}/events/{{event_id}}/redeliver", methods=["POST"])
@api.endpoint
async def http_redeliver_event(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    event = await flows.deliver.redeliver(api.account_of(req), req.route_params["event_id"])
    return api.answer(api.event_json(event), 202)


@app.route(route=f"{ACCOUNT}/events/redeliver", methods=["POST"])
@api.endpoint
async def http_redeliver_events(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import RedeliverRequest, read

    account_id, body = api.account_of(req), read(RedeliverRequest, api.json_body(req))
    through = await flows.redelivery.since(account_id, body.after)
    return api.answer({"redelivering_after": body.after, "through": through}, 202)


@app.route(route="v1/webhook", methods=["GET"])
@api.endpoint
async def http_get_webhook(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.webhook_json(*await flows.endpoint.show()))


@app.route(route="v1/webhook/enable", methods=["POST"])
@api.endpoint
async def http_enable_webhook(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    await flows.endpoint.enable()
    return api.answer(api.webhook_json(*await flows.endpoint.show()))


@app.route(route="v1/webhook/test", methods=["POST"])
@api.endpoint
async def http_test_webhook(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer(api.webhook_test_json(*await flows.endpoint.test()))


@app.route(route="v1/status", methods=["GET"])
@api.endpoint
async def http_status(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    checks = await flows.checks.all() if api.wants_checks(req) else []
    return api.answer(api.status_json(*await flows.show.status(), checks))


@app.route(route="v1/poison/replay", methods=["POST"])
@api.endpoint
async def http_replay_poison(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api.models import ReplayRequest, read

    body = read(ReplayRequest, api.json_body(req) if req.get_body() else {})
    return api.answer(api.put_back_json(await flows.poisons.put_back(body.queue)))


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_health(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return api.answer({"status": "ok"})


# The API reference.


@app.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_openapi(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api import reference

    return reference.openapi(req, flows.settings.public_base_url)


@app.route(route="docs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@api.endpoint
async def http_docs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    from sync.api import reference

    return reference.docs(req, flows.settings.public_base_url)


# Microsoft Graph.


@app.route(route="graph/notifications", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="changes", queue_name=jobs.MAIL_CHANGES, connection=STORAGE)
@api.endpoint
async def http_graph_notifications(
    req: func.HttpRequest, context: func.Context, changes: func.Out[List[str]]
) -> func.HttpResponse:
    if "validationToken" in req.params:
        return api.validation(req.params["validationToken"])
    changes.set(flows.acknowledge_changes(req.get_body()))
    return api.accepted()


@app.route(route="graph/lifecycle", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="watches", queue_name=jobs.MAILBOX_WATCH, connection=STORAGE)
@api.endpoint
async def http_graph_lifecycle(
    req: func.HttpRequest, context: func.Context, watches: func.Out[List[str]]
) -> func.HttpResponse:
    if "validationToken" in req.params:
        return api.validation(req.params["validationToken"])
    watches.set(flows.acknowledge_lifecycle(req.get_body()))
    return api.accepted()


# The work behind it.


@app.queue_trigger(arg_name="msg", queue_name=jobs.MAILBOX_WATCH, connection=STORAGE)
@flows.noting(jobs.MAILBOX_WATCH)
async def queue_mailbox_watch(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.watch.keep(jobs.WatchMailbox.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.MAILBOX_CATCH_UP, connection=STORAGE)
@flows.noting(jobs.MAILBOX_CATCH_UP)
async def queue_mailbox_catch_up(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.catching_up.look_through(jobs.CatchUp.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.MAIL_BATCHES, connection=STORAGE)
@flows.noting(jobs.MAIL_BATCHES)
async def queue_mail_batch(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.bulk.go_on(jobs.SendBatch.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.MAIL_SENDS, connection=STORAGE)
@flows.noting(jobs.MAIL_SENDS)
async def queue_mail_send(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.send.deliver(jobs.SendMail.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.MAIL_CHANGES, connection=STORAGE)
@flows.noting(jobs.MAIL_CHANGES)
async def queue_mail_change(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.receive.fetch(jobs.MailChange.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.CRM_DELIVERIES, connection=STORAGE)
@flows.noting(jobs.CRM_DELIVERIES)
async def queue_crm_delivery(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.deliver.deliver(jobs.DeliverEvent.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.CRM_REDELIVERIES, connection=STORAGE)
@flows.noting(jobs.CRM_REDELIVERIES)
async def queue_crm_redelivery(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.redelivery.go_on(jobs.RedeliverEvents.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.CRM_UNDELIVERED, connection=STORAGE)
@flows.noting(jobs.CRM_UNDELIVERED)
async def queue_crm_undelivered(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.redelivery.bring_back(jobs.BringBack.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.ERASURES, connection=STORAGE)
@flows.noting(jobs.ERASURES)
async def queue_erasure(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.erase.go_on(jobs.EraseUser.from_json(msg.get_body().decode()))


@app.queue_trigger(arg_name="msg", queue_name=jobs.RETENTION, connection=STORAGE)
@flows.noting(jobs.RETENTION)
async def queue_remove_old(msg: func.QueueMessage, context: func.Context) -> None:
    await flows.retention.go_on(jobs.RemoveOld.from_json(msg.get_body().decode()))


@app.timer_trigger(arg_name="timer", schedule="0 30 3 * * *")
@wiring.timed
async def timer_remove_old(timer: func.TimerRequest) -> None:
    await flows.retention.begin()


@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
@wiring.timed
async def timer_sweep(timer: func.TimerRequest) -> None:
    await flows.sweep.sweep()


@app.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
@wiring.timed
async def timer_poison(timer: func.TimerRequest) -> None:
    await flows.poisons.keep()


@app.timer_trigger(arg_name="timer", schedule="30 * * * * *")
@wiring.timed
async def timer_queue_gauges(timer: func.TimerRequest) -> None:
    await flows.take_queue_gauges()


@app.timer_trigger(arg_name="timer", schedule="45 7/15 * * * *")
@wiring.timed
async def timer_mailbox_gauges(timer: func.TimerRequest) -> None:
    await flows.take_mailbox_gauges()
