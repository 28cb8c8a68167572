"""Running the app: its state, and what browsers and Microsoft call."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sync.api import models
from sync.api.reference import samples
from sync.api.reference.operations.operation import Answer, Body, Example, Header, Operation, html, ok, query, yes_or_no
from sync.api.reference.shapes import running as shapes

BROWSER = "Sign-in in the browser"
GRAPH = "Microsoft Graph"


class _FromGraph(BaseModel):
    """As Graph sends it; what is not named here is not read."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")


class ChangedResource(_FromGraph):
    """What changed."""

    id: str


class ChangeNotification(_FromGraph):
    """One change of a message (https://learn.microsoft.com/graph/api/resources/changenotification)."""

    client_state: str = Field(alias="clientState")
    """Proves that we asked for it; without that it is dropped."""
    change_type: str = Field(alias="changeType")
    resource_data: ChangedResource = Field(alias="resourceData")


class ChangeNotifications(_FromGraph):
    """What Graph posts when messages change."""

    value: list[ChangeNotification]


class LifecycleNotification(_FromGraph):
    """What happened to a subscription (https://learn.microsoft.com/graph/change-notifications-lifecycle-events)."""

    client_state: str = Field(alias="clientState")
    """Proves that we asked for it; without that it is dropped."""
    lifecycle_event: str = Field(alias="lifecycleEvent")
    """`missed`, `subscriptionRemoved` or `reauthorizationRequired`."""


class LifecycleNotifications(_FromGraph):
    """What Graph posts about its subscriptions."""

    value: list[LifecycleNotification]


_TO_MICROSOFT = Answer(
    302,
    "On to the next page.",
    headers=(
        Header("Location", "Microsoft's sign-in, or your `return_url` with the result."),
        Header("Set-Cookie", "Binds the sign-in to this browser, or ends that."),
    ),
)
_NOT_GOING_ON = html(400, "A page in plain words: the link can't be used any more.")
_NOT_NOW = html(503, "A page in plain words: something went wrong on our side.")
_VALIDATION = query("validationToken", {"type": "string"}, "Graph asks whether this address is ours: it is echoed.")
_ECHO = Answer(200, "The validation token, as it came.", Body(({"type": "string"},), (), "text/plain"))
_TAKEN = Answer(202, "Taken, or dropped because it is not about a subscription of ours.")
#: For who is signed in with a key of ours, but made up here.
_CLIENT_STATE = "con_95goylip1wsqfaxtncvdjuov.kR4nVb2p"


def _notification(member: str, happened: str, **more: Any) -> Example:
    return Example("example", {"value": [{"clientState": _CLIENT_STATE, member: happened, **more}]})


OPERATIONS = (
    Operation(
        "http_status",
        "get",
        "/v1/status",
        "Running it",
        "Show how the app is doing",
        (ok(shapes.AppStatus, samples.status()),),
        description="Whether it reaches all that it needs, and queues, connections, and work that was given up, of all accounts.",
        parameters=(
            yes_or_no("checks", "Whether to try all that it needs, which sends the CRM a test event.", default="true"),
        ),
        problems=("invalid_request",),
    ),
    Operation(
        "http_replay_poison",
        "post",
        "/v1/poison/replay",
        "Running it",
        "Put given-up work back",
        (ok(shapes.Replayed, {"replayed": 1, "queues": {"mail-changes": 1}}),),
        description="Once its cause is mended. Doing work again changes nothing that was done. At most 1,000 of each queue.",
        body=Body(
            (models.ReplayRequest,),
            (
                Example("everything", {}, "Of every queue"),
                Example("one_queue", {"queue": "mail-changes"}, "Of one queue"),
            ),
            required=False,
        ),
        problems=("malformed_request", "payload_too_large", "invalid_request"),
    ),
    Operation(
        "http_health",
        "get",
        "/health",
        "Running it",
        "Ask whether the app is alive",
        (ok(shapes.Health, {"status": "ok"}),),
        access="anybody",
    ),
    Operation(
        "http_openapi",
        "get",
        "/openapi.json",
        "Running it",
        "This document",
        (Answer(200, "OpenAPI 3.1.", Body(({"type": "object"},))), Answer(304, "As you have it (`If-None-Match`).")),
        access="anybody",
    ),
    Operation(
        "http_docs",
        "get",
        "/docs",
        "Running it",
        "The same to read",
        (html(200, "This reference."), Answer(304, "As you have it (`If-None-Match`).")),
        access="anybody",
    ),
    Operation(
        "http_connect",
        "get",
        "/connect/{token}",
        BROWSER,
        "Open a sign-in link",
        (_TO_MICROSOFT, _NOT_GOING_ON, _NOT_NOW),
        access="anybody",
        for_people=True,
        description="Where `sign_in_url` leads. Send the user's browser there; don't open it yourself.",
    ),
    Operation(
        "http_oauth_callback",
        "get",
        "/oauth/callback",
        BROWSER,
        "Come back from Microsoft",
        (
            html(200, "What an administrator sees who came back from Microsoft's consent page."),
            _TO_MICROSOFT,
            _NOT_GOING_ON,
            _NOT_NOW,
        ),
        access="anybody",
        for_people=True,
        description="The redirect address of the app's registration with Microsoft. Its query is Microsoft's.",
        parameters=(
            query("state", {"type": "string"}, "Of one sign-in."),
            query("code", {"type": "string"}, "The authorization code."),
            query("error", {"type": "string"}, "Why there is none."),
            query("admin_consent", {"type": "string"}, "Of an administrator's consent."),
        ),
    ),
    Operation(
        "http_graph_notifications",
        "post",
        "/graph/notifications",
        GRAPH,
        "A message changed",
        (_ECHO, _TAKEN),
        access="anybody",
        parameters=(_VALIDATION,),
        body=Body(
            (ChangeNotifications,),
            (_notification("changeType", "created", resourceData={"id": "AAkALgAAAAAAHYQDEapm"}),),
            required=False,
        ),
        problems=("malformed_request",),
    ),
    Operation(
        "http_graph_lifecycle",
        "post",
        "/graph/lifecycle",
        GRAPH,
        "A subscription needs something",
        (_ECHO, _TAKEN),
        access="anybody",
        parameters=(_VALIDATION,),
        body=Body((LifecycleNotifications,), (_notification("lifecycleEvent", "missed"),), required=False),
        problems=("malformed_request",),
    ),
)
