"""What is said of one operation of the API. Nothing here knows OpenAPI: document.py writes that."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from sync.api.reference.shapes.shape import Shape
from sync.api.requests import MAX_PAGE, MAX_SEQUENCE
from sync.domain.connection import ACCOUNT_OR_USER_ID

Schema = dict[str, Any]
#: Who may call: who has the function key; the settings page, by the token of its link; anybody.
Access = Literal["key", "page", "anybody"]


@dataclass(frozen=True)
class Parameter:
    """A part of the path, a query member, or a header."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Schema
    description: str
    example: object = None
    required: bool = False


@dataclass(frozen=True)
class Example:
    """A true value, and what it shows."""

    name: str
    value: object
    summary: str = ""


@dataclass(frozen=True)
class Header:
    """A header of an answer."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Body:
    """A body: one of these shapes (a pydantic model or a schema); none: there is no body."""

    shapes: tuple[type[BaseModel] | Schema, ...] = ()
    examples: tuple[Example, ...] = ()
    media_type: str = "application/json"
    required: bool = True


@dataclass(frozen=True)
class Answer:
    """An answer that is no problem."""

    status: int
    description: str
    body: Body | None = None
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Operation:
    """
    One route and method.

    function: its name in function_app.py. problems: the codes that it may answer with, besides those of its `access`.
    """

    function: str
    method: Literal["get", "post", "put", "delete"]
    path: str
    tag: str
    summary: str
    answers: tuple[Answer, ...]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[str, ...] = ()
    access: Access = "key"
    #: Pages of people: what goes wrong is told in plain words, not as a problem.
    for_people: bool = False

    @property
    def operation_id(self) -> str:
        """As the function, without what starts it."""
        return self.function.removeprefix("http_")


def json_of(shape: type[Shape], *examples: Example | object) -> Body:
    """A JSON body of this shape, with a true example or more."""
    shown = [e if isinstance(e, Example) else Example("example", e) for e in examples]
    return Body((shape,), tuple(shown))


def ok(shape: type[Shape], *examples: Example | object, status: int = 200, description: str = "") -> Answer:
    """A JSON answer of this shape."""
    return Answer(status, description or str(shape.__doc__).partition("\n")[0], json_of(shape, *examples))


def html(status: int, description: str) -> Answer:
    """A page for a person."""
    return Answer(status, description, Body(({"type": "string"},), (), "text/html"))


#: Of every path with an account or a user, and of every body.
BAD_PATH = ("malformed_request",)
BAD_BODY = ("malformed_request", "payload_too_large", "invalid_request")
#: Of whatever asks Microsoft while the caller waits.
MICROSOFT = ("temporarily_unavailable", "operator_attention_needed")

ID = {"type": "string", "pattern": f"^{ACCOUNT_OR_USER_ID.pattern}$"}


def _path(name: str, description: str, example: str, schema: Schema | None = None) -> Parameter:
    return Parameter(name, "path", schema or {"type": "string"}, description, example, required=True)


#: What stands in paths, by its name in them.
IN_PATHS: dict[str, Parameter] = {
    p.name: p
    for p in (
        _path("account_id", "Your customer's account: an id that you choose.", "acme", ID),
        _path("user_id", "A user of the account: an id that you choose.", "dana", ID),
        _path("message_id", "From the answer to a send, or an event.", "msg_ttdlgqoimhqfwz5bke6a2222"),
        _path("batch_id", "From the answer to a send.", "bat_aqzopqrofnkwujiyj6uo"),
        _path("thread_id", "From the answer to a send, or an event.", "thr_ttdlgqoimhqfwz5bke6a2222"),
        _path("attachment_id", "From `attachments` of a message.", "att_ttdlgqoimhqfwz5bke6a2222_0"),
        _path("event_id", "The event's `id`.", "evt_0000000001p7wql3oovbfi"),
        _path(
            "token",
            "The secret of one sign-in.",
            "tbmsln0lepjew96eaisqzbtv.ug74eUmx43BkvtOeA1xSXI-JkRIRL6h_hIEtP3V4uWU",
        ),
    )
}


def query(name: str, schema: Schema, description: str, example: object = None) -> Parameter:
    """A member of the query that may be left out."""
    return Parameter(name, "query", schema, description, example)


def yes_or_no(name: str, description: str, *, default: Literal["true", "false"] = "false") -> Parameter:
    """`true` or `false`."""
    return query(name, {"type": "string", "enum": ["true", "false"], "default": default}, description)


#: How much of a listing is given at once. 0 is taken for 1.
LIMIT = query(
    "limit",
    {"type": "integer", "minimum": 0, "maximum": MAX_PAGE, "default": 100},
    "How many at most; 0 is taken for 1.",
)
AFTER_SEQUENCE = query(
    "after",
    {"type": "integer", "minimum": 0, "maximum": MAX_SEQUENCE, "default": 0},
    "Only events above this sequence; 0 for all.",
    2,
)
