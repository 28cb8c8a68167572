"""Connecting a mailbox, and the account's own provider."""

from dataclasses import replace

from sync.api import answers, models
from sync.api.reference import samples
from sync.api.reference.operations.operation import (
    BAD_BODY,
    BAD_PATH,
    MICROSOFT,
    Answer,
    Body,
    Example,
    Operation,
    ok,
    yes_or_no,
)
from sync.api.reference.shapes import connections as shapes
from sync.domain.event import rfc3339
from sync.domain.sign_in import LINK_LIFETIME

USER = "/v1/accounts/{account_id}/users/{user_id}"
CONNECTION = f"{USER}/connection"
PROVIDER = "/v1/accounts/{account_id}/provider"
RETURN_URL = "https://app.crm.example/profile"
TOKEN = "tbmsln0lepjew96eaisqzbtv.ug74eUmx43BkvtOeA1xSXI-JkRIRL6h_hIEtP3V4uWU"  # noqa: S105 - nobody's

SIGN_IN_LINK = ok(
    shapes.SignInLink,
    {"sign_in_url": f"{samples.APP}/connect/{TOKEN}", "expires_at": rfc3339(samples.NOW + LINK_LIFETIME)},
    status=201,
)
CHOOSE_SENDER = Body((models.DefaultSenderRequest,), (Example("example", {"default_sender": "provider"}),))

_SHOWN = answers.connection_json(samples.CONNECTION)
_CONNECTION = (
    Example("connected", _SHOWN, "In sync"),
    Example("needs_reconnect", answers.connection_json(samples.STOPPED), "The user has to sign in again"),
    Example(
        "admin_consent_required",
        answers.connection_or_none(replace(samples.ENDED, erased=None), samples.WAITING),
        "Ended, and the next sign-in waits for an administrator",
    ),
)
_PROVIDER = answers.provider_json(samples.PROVIDER)

OPERATIONS = (
    Operation(
        "http_start_sign_in",
        "post",
        f"{CONNECTION}/sign-in",
        "Connections",
        "Start a sign-in",
        (SIGN_IN_LINK,),
        description=(
            "Gives a link for the user's browser: to connect a mailbox, to sign in again, or to update to another one. The"
            " browser comes back to `return_url` with `result=ok` and a `completion_code`, or with `result` `declined`,"
            " `admin_consent_required` (and `admin_consent_url`), `expired` or `failed`."
        ),
        body=Body(
            (models.SignInRequest,),
            (
                Example("any_mailbox", {"return_url": RETURN_URL}, "Whatever mailbox the user signs in to"),
                Example(
                    "this_mailbox",
                    {"return_url": RETURN_URL, "expected_email": "dana@northwind.example"},
                    "Only this mailbox",
                ),
            ),
        ),
        problems=(*BAD_BODY, "return_url_not_allowed"),
    ),
    Operation(
        "http_complete_sign_in",
        "post",
        f"{CONNECTION}/complete",
        "Connections",
        "Complete a sign-in",
        (ok(shapes.Connection, answers.connection_json(samples.CONNECTING)),),
        description=(
            "Call this for the user who is signed in to your CRM in the browser that came back. Only this call redeems the"
            " sign-in, so that nobody can finish somebody else's. Repeated, it gives the same connection."
        ),
        body=Body((models.CompleteRequest,), (Example("example", {"completion_code": TOKEN}),)),
        problems=(
            *BAD_BODY,
            "completion_code_unknown",
            "completion_code_expired",
            "completion_in_progress",
            "wrong_mailbox",
            "sign_in_failed",
            *MICROSOFT,
        ),
    ),
    Operation(
        "http_get_connection",
        "get",
        CONNECTION,
        "Connections",
        "Show a connection",
        (ok(shapes.Connection, *_CONNECTION),),
        description="404 where there never was one; `sign_in` in it says how the user's last try ended.",
        problems=(*BAD_PATH, "not_found"),
    ),
    Operation(
        "http_set_default_sender",
        "put",
        f"{CONNECTION}/default-sender",
        "Connections",
        "Choose the default email",
        (ok(shapes.Connection, {**_SHOWN, "default_sender": "provider"}),),
        description="Through which door the user's individual emails go: Outlook, or the account's own provider.",
        body=CHOOSE_SENDER,
        problems=(*BAD_BODY, "not_found", "not_connected"),
    ),
    Operation(
        "http_delete_connection",
        "delete",
        CONNECTION,
        "Connections",
        "Delete a connection",
        (
            ok(
                shapes.DeletedConnection,
                Example("kept", answers.deleted_json(replace(samples.ENDED, erased=None)), "What was synced is kept"),
                Example("erased", answers.deleted_json(samples.ENDED), "With `erase=true`"),
            ),
        ),
        description=(
            "Ends it for good: tokens are destroyed, threads stop both ways, new emails go through the provider. Repeated, it"
            " gives the same answer."
        ),
        parameters=(yes_or_no("erase", "Whether to erase what was synced of all this user's mailboxes, too."),),
        problems=(*BAD_PATH, "invalid_request", "not_found"),
    ),
    Operation(
        "http_explain",
        "post",
        f"{CONNECTION}/explain",
        "Connections",
        "Explain a message",
        (ok(shapes.Explanation, samples.explanation()),),
        description="Says why a message of the mailbox syncs, or does not. Only its keys are read; nothing is stored.",
        body=Body(
            (models.ExplainRequest,),
            (Example("example", {"internet_message_id": "<0C1E5A77D2B94F0E@elsewhere.example>"}),),
        ),
        problems=(*BAD_BODY, "not_found", "not_connected", "connection_needs_reconnect", *MICROSOFT),
    ),
    Operation(
        "http_put_provider",
        "put",
        PROVIDER,
        "Provider",
        "Set the provider",
        (ok(shapes.Provider, _PROVIDER),),
        description=(
            "Connects to the server and logs in first, and sends nothing. What does not work is not stored: 422"
            " `provider_check_failed` says how far we came."
        ),
        body=Body(
            (models.ProviderRequest,),
            (
                Example(
                    "example",
                    {
                        "host": "smtp.provider.example",
                        "port": 587,
                        "security": "starttls",
                        "username": "apikey",
                        "password": "secret",
                        "from": {"address": "offers@northwind.example", "name": "Northwind"},
                        "domains": ["northwind.example"],
                    },
                ),
            ),
        ),
        problems=(*BAD_BODY, "provider_check_failed"),
    ),
    Operation(
        "http_get_provider",
        "get",
        PROVIDER,
        "Provider",
        "Show the provider",
        (ok(shapes.Provider, _PROVIDER),),
        problems=(*BAD_PATH, "not_found", "operator_attention_needed"),
    ),
    Operation(
        "http_delete_provider",
        "delete",
        PROVIDER,
        "Provider",
        "Remove the provider",
        (Answer(204, "The account has no provider, any more or still."),),
        problems=BAD_PATH,
    ),
)
