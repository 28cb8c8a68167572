"""The feed, deliveries again, and the CRM's webhook."""

from sync.api import answers, models
from sync.api.reference import samples
from sync.api.reference.operations.operation import (
    AFTER_SEQUENCE,
    BAD_BODY,
    BAD_PATH,
    LIMIT,
    Body,
    Example,
    Operation,
    ok,
)
from sync.api.reference.shapes import events as shapes
from sync.api.reference.shapes import running
from sync.domain.event import attempted_anew

EVENTS = "/v1/accounts/{account_id}/events"

OPERATIONS = (
    Operation(
        "http_list_events",
        "get",
        EVENTS,
        "Events",
        "Read the feed",
        (ok(shapes.Events, samples.events()),),
        description=(
            "The same events that are pushed to you, from any place on: `sequence` starts at 1 for each account and has no gaps."
            " Read it when you have missed something, or instead of a webhook."
        ),
        parameters=(AFTER_SEQUENCE, LIMIT),
        problems=(*BAD_PATH, "invalid_request"),
    ),
    Operation(
        "http_get_event",
        "get",
        f"{EVENTS}/{{event_id}}",
        "Events",
        "Show an event and its deliveries",
        (ok(shapes.EventDelivery, samples.delivered()),),
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_redeliver_event",
        "post",
        f"{EVENTS}/{{event_id}}/redeliver",
        "Events",
        "Push an event once more",
        (
            ok(
                shapes.EventDelivery,
                answers.event_json(attempted_anew(samples.event("message.synced"))),
                status=202,
                description="It is pushed in a moment, under the same `webhook-id`.",
            ),
        ),
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_redeliver_events",
        "post",
        f"{EVENTS}/redeliver",
        "Events",
        "Push many events once more",
        (ok(running.Redelivering, {"redelivering_after": 120, "through": 473}, status=202),),
        description="Every event of the account above a sequence, whatever became of it, in the background and in order.",
        body=Body((models.RedeliverRequest,), (Example("example", {"after": 120}),)),
        problems=BAD_BODY,
    ),
    Operation(
        "http_get_webhook",
        "get",
        "/v1/webhook",
        "Webhook",
        "Show how deliveries stand",
        (
            ok(
                running.Webhook,
                Example("on", samples.webhook_on(), "All is well"),
                Example("off", samples.webhook_off(), "Switched off"),
            ),
        ),
        description="The one receiver of all accounts' events, at `CRM_WEBHOOK_URL`.",
    ),
    Operation(
        "http_enable_webhook",
        "post",
        "/v1/webhook/enable",
        "Webhook",
        "Switch deliveries on",
        (ok(running.Webhook, samples.webhook_on()),),
        description="Everything that became undelivered since the trouble began comes back by itself, each account's in order.",
    ),
    Operation(
        "http_test_webhook",
        "post",
        "/v1/webhook/test",
        "Webhook",
        "Push a test event",
        (ok(running.WebhookTest, samples.webhook_tested()),),
        description="Pushes `webhook.test` at once, also while deliveries are off, and answers how you took it.",
    ),
)
