"""Sending, cancelling, and looking up what was said."""

from sync.api import answers, models
from sync.api.reference import samples
from sync.api.reference.operations.operation import (
    BAD_BODY,
    BAD_PATH,
    LIMIT,
    Answer,
    Body,
    Example,
    Header,
    Operation,
    Parameter,
    ok,
    query,
    yes_or_no,
)
from sync.api.reference.shapes import messages as shapes
from sync.api.requests import IDEMPOTENCY_KEY
from sync.domain.body import Body as MailBody
from sync.domain.event import whole_message_json
from sync.domain.message import cancelled

ACCOUNT = "/v1/accounts/{account_id}"

#: The sender rule's refusals.
_NO_DOOR = ("connection_needs_reconnect", "provider_not_configured", "from_not_allowed", "operator_attention_needed")
_SENDS = (
    Example(
        "individual",
        {
            "kind": "individual",
            "user_id": "dana",
            "to": [{"address": "ada@customer.example", "name": "Ada Quist", "contact_id": "c-17"}],
            "subject": "Our offer",
            "html": "<p>Dear Ada, here is our offer.</p>",
            "attachments": [{"name": "offer.txt", "content_type": "text/plain", "content_base64": "MTIgY2hhaXJzCg=="}],
            "metadata": {"deal": 4711},
        },
        "A person writes",
    ),
    Example(
        "answer",
        {
            "kind": "individual",
            "user_id": "dana",
            "thread_id": "thr_ttdlgqoimhqfwz5bke6a2222",
            "subject": "Re: Our offer",
            "text": "Shall we deliver on Monday?",
        },
        "An answer into a thread, to whom a reply in Outlook would go",
    ),
    Example(
        "bulk",
        {
            "kind": "bulk",
            "user_id": "dana",
            "from": "dana@northwind.example",
            "subject": "New chairs",
            "html": "<p>They are here.</p>",
            "to": [
                {"address": "ada@customer.example", "contact_id": "c-17"},
                {"address": "nobody at all", "contact_id": "c-18"},
            ],
            "send_at": "2026-11-24T08:00:00+01:00",
        },
        "One email for each of `to`",
    ),
    Example(
        "workflow",
        {
            "kind": "workflow",
            "user_id": "dana",
            "to": [{"address": "ada@customer.example"}],
            "subject": "Welcome",
            "text": "Hello Ada.",
        },
        "Your automation writes",
    ),
)
_REPLY = whole_message_json(samples.REPLY, MailBody("<p>Yes please!</p>", "Yes please!"))
_SENT = whole_message_json(samples.SENT, samples.SENT_BODY)

OPERATIONS = (
    Operation(
        "http_send_message",
        "post",
        f"{ACCOUNT}/messages",
        "Messages",
        "Send",
        (
            ok(
                shapes.Accepted,
                Example("individual", samples.accepted(), "One email"),
                Example("bulk", samples.accepted_bulk(), "Two emails, of which one has no address"),
                status=202,
            ),
        ),
        description=(
            "202 means: written down, and exactly one email goes out to each recipient, or one to all of them. Repeat the call"
            " with the same `Idempotency-Key` as often as you like, you get the same answer. `message.sent` comes once the copy"
            " is seen in Sent Items, `message.failed` if it can't be sent.\n\n"
            "`kind` is `individual` (a person writes), `bulk` (one email for each of `to`, at most 1,000) or `workflow` (your"
            " automation writes). What goes through Outlook begins a thread, or continues the one in `thread_id`."
        ),
        parameters=(
            Parameter(
                "Idempotency-Key",
                "header",
                {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
                "Names this send: the same on each try of it. Remembered for at least 24 hours.",
                "offer-17",
                required=True,
            ),
        ),
        body=Body((models.SendRequest, models.BulkRequest), _SENDS),
        problems=(
            *BAD_BODY,
            "idempotency_key_missing",
            "idempotency_key_reused",
            "attachment_refused",
            *_NO_DOOR,
            "thread_stopped",
            "not_found",
        ),
    ),
    Operation(
        "http_resolve_sender",
        "post",
        f"{ACCOUNT}/messages/resolve-sender",
        "Messages",
        "Ask through which door an email would go",
        (
            ok(
                shapes.ResolvedSender,
                {"via": "provider", "address": "offers@northwind.example", "rule": "bulk_from_other", "syncs": False},
            ),
        ),
        description="What a send would be answered as `sender`. Nothing is sent.",
        body=Body(
            (models.ResolveSenderRequest,),
            (Example("example", {"kind": "bulk", "user_id": "dana", "from": "offers@northwind.example"}),),
        ),
        problems=(*BAD_BODY, *_NO_DOOR),
    ),
    Operation(
        "http_get_message",
        "get",
        f"{ACCOUNT}/messages/{{message_id}}",
        "Messages",
        "Show a message",
        (
            ok(
                shapes.Message,
                Example("sent", _SENT, "An email sent from the CRM"),
                Example("synced", _REPLY, "The contact's reply"),
                Example("bounced", whole_message_json(samples.BOUNCED, samples.SENT_BODY), "One that did not arrive"),
            ),
        ),
        description="With its whole body, and where it stands.",
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_cancel_message",
        "post",
        f"{ACCOUNT}/messages/{{message_id}}/cancel",
        "Messages",
        "Cancel a message",
        (ok(shapes.Message, whole_message_json(cancelled(samples.UNSENT), samples.SENT_BODY)),),
        description="As long as it is surely not on its way: while it is held back or waits for its turn.",
        problems=(*BAD_PATH, "not_found", "not_cancellable"),
    ),
    Operation(
        "http_get_batch",
        "get",
        f"{ACCOUNT}/batches/{{batch_id}}",
        "Batches",
        "Show a batch",
        (ok(shapes.Batch, samples.batch()),),
        description="Everything that was accepted with one send, and how far it is.",
        parameters=(yes_or_no("messages", "Whether to show how each of them stands, too."),),
        problems=(*BAD_PATH, "invalid_request", "not_found"),
    ),
    Operation(
        "http_cancel_batch",
        "post",
        f"{ACCOUNT}/batches/{{batch_id}}/cancel",
        "Batches",
        "Cancel a batch",
        (ok(shapes.Batch, samples.cancelled_batch()),),
        description="Cancels whatever of it is not yet sent; the counts say how much that was. Cancelled emails tell no event.",
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_list_threads",
        "get",
        f"{ACCOUNT}/threads",
        "Threads",
        "List threads",
        (ok(shapes.Threads, answers.threads_json([(samples.THREAD, True)], 100)),),
        parameters=(
            query("contact_id", {"type": "string"}, "Only threads with this contact, by your own id.", "c-17"),
            query("user_id", {"type": "string"}, "Only threads of this user.", "dana"),
            query("after", {"type": "string"}, "The `next_after` of the page before."),
            LIMIT,
        ),
        problems=(*BAD_PATH, "invalid_request"),
    ),
    Operation(
        "http_get_thread",
        "get",
        f"{ACCOUNT}/threads/{{thread_id}}",
        "Threads",
        "Show a thread",
        (
            ok(
                shapes.WholeThread,
                answers.thread_json(
                    samples.THREAD,
                    live=True,
                    messages=[
                        (samples.SENT, samples.SENT_BODY),
                        (samples.REPLY, MailBody("<p>Yes please!</p>", "Yes please!")),
                    ],
                ),
            ),
        ),
        description="With its messages, the oldest first.",
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_get_attachment",
        "get",
        f"{ACCOUNT}/attachments/{{attachment_id}}",
        "Threads",
        "Download a file",
        (
            Answer(
                200,
                "The bytes, to be saved and never shown: what a sender calls a file is not believed.",
                Body(({},), (), "application/octet-stream"),
                (Header("Content-Disposition", "`attachment`, with the file's name (RFC 6266)."),),
            ),
        ),
        description="404 for a file that was skipped: there are no bytes of it here.",
        problems=(*BAD_PATH, "not_found"),
    ),
)
