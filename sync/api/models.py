"""
The bodies of requests, by pydantic. Imported where a request with a body is read, so that a notification's cold start does
not pay for it.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from sync.domain.errors import InvalidRequest
from sync.domain.internet_name import ascii_domain, host_name, is_loopback
from sync.domain.mail import Address
from sync.domain.message import Contact
from sync.domain.outgoing import (
    MAX_BULK_RECIPIENTS,
    MAX_FILES,
    MAX_RECIPIENTS,
    MAX_SUBJECT_CHARS,
    Outgoing,
    OutgoingFile,
    has_control_characters,
)
from sync.domain.provider import Provider

#: Rows are written by walking their values, so nesting has an end well before Python's.
MAX_METADATA_DEPTH = 32
NOTHING: Mapping[int, str] = {}
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _address(value: str) -> str:
    try:
        # Syntax only (RFC 5321, 6531): whether a domain takes mail is for the mail system to say.
        return validate_email(value.strip(), check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"This is no email address: {error}") from error


def _one_line(value: str) -> str:
    if has_control_characters(value) or not value.strip():
        raise ValueError("This is no Message-ID, as <CAD1x@mail.customer.example>.")
    return value


def _bytes(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("This is not base64 (RFC 4648 section 4, with padding).") from None
    return value


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if not _nested_at_most(MAX_METADATA_DEPTH, value):
        raise ValueError(f"It may be nested at most {MAX_METADATA_DEPTH} levels deep.")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("It holds a number that is too large to be written as JSON again.") from None
    return value


def _nested_at_most(levels: int, value: object) -> bool:
    if not isinstance(value, dict | list):
        return True
    members = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_nested_at_most(levels - 1, member) for member in members)


def _time(value: object) -> object:
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("This is no time (RFC 3339), as 2026-03-02T09:00:00Z.")
    return value


#: A time of RFC 3339, with its zone; pydantic takes numbers, too.
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time)]
EmailAddress = Annotated[
    str, Field(max_length=320, json_schema_extra={"format": "idn-email"}), AfterValidator(_address)
]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Body(BaseModel):
    # The string below a field tells readers of the API reference what it is for.
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class SignInRequest(_Body):
    """Where the user's browser comes back to, and which mailbox is expected."""

    return_url: Annotated[str, Field(max_length=2_000)]
    """On one of the origins in `ALLOWED_RETURN_ORIGINS`."""
    expected_email: EmailAddress | None = None
    """Only this mailbox will be connected; an alias of it is as good. Left out: any."""


class CompleteRequest(_Body):
    """What the user's browser brought back."""

    completion_code: Annotated[str, Field(max_length=200)]
    """From the query of your `return_url`; good for five minutes."""


class ExplainRequest(_Body):
    """Which message of the mailbox to explain."""

    internet_message_id: Annotated[str, Field(min_length=1, max_length=998), AfterValidator(_one_line)]
    """Its Message-ID, with or without angle brackets."""


class ReplayRequest(_Body):
    """Which work to put back."""

    queue: Annotated[str, Field(max_length=63)] | None = None
    """A name in `queues` of the status. Left out: every queue."""


class SettingsPageRequest(_Body):
    """Where a sign-in that is begun on the page leads back to."""

    return_url: Annotated[str, Field(max_length=2_000)]
    """On one of the origins in `ALLOWED_RETURN_ORIGINS`."""


class DefaultSenderRequest(_Body):
    """Through which door the user's individual emails go."""

    default_sender: Literal["outlook", "provider"]


class RedeliverRequest(_Body):
    """Which events to push once more."""

    after: Annotated[int, Field(ge=0, le=9_999_999_999)]
    """Every event above this sequence."""


def _host(value: str) -> str:
    try:
        return host_name(value)
    except ValueError:
        raise ValueError(
            "This is no name and no IP address of a server (without a scheme, a port or spaces)."
        ) from None


def _domain(value: str) -> str:
    try:
        return ascii_domain(value)
    except ValueError:
        raise ValueError("This is no domain name, as crm.example.") from None


def _line(value: str) -> str:
    if has_control_characters(value):
        raise ValueError("It can't hold line breaks or other control characters.")
    return value


class ProviderFrom(_Body):
    """What stands in From where an email names no address of its own."""

    address: EmailAddress
    name: Annotated[str, Field(max_length=200), AfterValidator(_line)] | None = None


class ProviderRequest(_Body):
    """Any SMTP server that takes submissions (RFC 6409)."""

    host: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_host)]
    """A name or an IP address, without a scheme or a port."""
    port: Annotated[int, Field(ge=1, le=65535)]
    security: Literal["starttls", "tls", "none"]
    """`starttls` mostly on 587, `tls` mostly on 465; `none` only for the machine that the app runs on."""
    username: Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_line)] | None = None
    """Together with `password`, or neither."""
    password: Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_line)] | None = None
    """Sealed at rest, never given out."""
    from_: Annotated[ProviderFrom, Field(alias="from")]
    """Stands in From where an email names no address of its own."""
    domains: Annotated[list[Annotated[str, Field(max_length=253), AfterValidator(_domain)]], Field(max_length=100)] = []
    """Any address of these may stand in From, too."""

    @field_validator("security")
    @classmethod
    def _encrypted(cls, value: str, others: ValidationInfo) -> str:
        if value == "none" and "host" in others.data and not is_loopback(others.data["host"]):
            raise ValueError("Without encryption only this machine itself may be the host. Use starttls or tls.")
        return value

    def provider(self, account_id: str) -> Provider:
        """The same as a value of ours; raises InvalidRequest where only half of a login is given."""
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise InvalidRequest(
                "username and password come together. Nothing was changed.",
                errors=[{"field": missing, "message": "Give both, or neither where the server asks for no login."}],
            )
        return Provider(
            account_id=account_id,
            host=self.host,
            port=self.port,
            security=self.security,
            sender=Address(self.from_.address, self.from_.name or ""),
            domains=tuple(dict.fromkeys(self.domains)),
            username=self.username or "",
            password=self.password or "",
        )


class Recipient(_Body):
    """Somebody an email goes to."""

    address: EmailAddress
    name: Annotated[str, Field(max_length=200)] | None = None
    contact_id: Annotated[str, Field(max_length=200)] | None = None
    """Your own id of this person: events name it."""

    def contact(self) -> Contact:
        """The same as a value of ours."""
        return Contact(self.address, self.name or "", self.contact_id or "")


class BulkRecipient(_Body):
    """Somebody who gets an email of a bulk send."""

    address: Annotated[str, Field(max_length=320)]
    """What is no address fails alone; the others go out."""
    name: Annotated[str, Field(max_length=200)] | None = None
    contact_id: Annotated[str, Field(max_length=200)] | None = None
    """Your own id of this person: events name it."""

    def checked(self) -> tuple[Contact, str]:
        """The same as a value of ours, and why no email can go there; empty: one can."""
        name, contact_id = self.name or "", self.contact_id or ""
        try:
            return Contact(_address(self.address), name, contact_id), ""
        except ValueError as error:
            # Shown back to the CRM, never written into a header.
            return Contact(self.address, name, contact_id), str(error)


class File(_Body):
    """A file to send: jpg, png, mp4, mpeg, zip, rar, pdf, doc, docx or txt, by name and by content, of at most 3 MiB."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, Field(max_length=255, pattern=r"^[\w.+-]+/[\w.+-]+")]
    content_base64: Annotated[str, AfterValidator(_bytes)]
    """RFC 4648 section 4, with padding."""
    inline: bool = False
    content_id: Annotated[str, Field(max_length=200)] | None = None
    """Of an inline file, what the html refers to as `cid:…`."""


class _Send(_Body):
    kind: Literal["individual", "bulk", "workflow"]
    """Decides, with `from`, through which door the email goes."""
    user_id: Id
    from_: Annotated[EmailAddress | None, Field(alias="from")] = None
    """Ignored for `individual`, which is from the user."""
    to: list[Any] = []
    cc: list[Recipient] = []
    bcc: list[Recipient] = []
    subject: Annotated[str, Field(json_schema_extra={"maxLength": MAX_SUBJECT_CHARS})]
    html: str | None = None
    """Give html, text or both; each at most 2 MiB."""
    text: str | None = None
    thread_id: Annotated[str, Field(max_length=64)] | None = None
    """Answers the last message of this thread."""
    attachments: Annotated[list[File], Field(json_schema_extra={"maxItems": MAX_FILES})] = []
    """Together at most 20 MiB."""
    metadata: Annotated[dict[str, Any], AfterValidator(_metadata)] = {}
    """Anything of yours, at most 8 KiB as JSON: it comes back with the message."""
    send_at: Time | None = None
    """Hold it back until then, at most 30 days ahead."""

    def _outgoing(self, to: tuple[Contact, ...], unusable: Mapping[int, str] = NOTHING) -> Outgoing:
        return Outgoing(
            kind=self.kind,
            user_id=self.user_id,
            from_address=self.from_,
            to=to,
            cc=tuple(p.contact() for p in self.cc),
            bcc=tuple(p.contact() for p in self.bcc),
            subject=self.subject,
            html=self.html,
            text=self.text,
            thread_id=self.thread_id,
            files=tuple(
                OutgoingFile(f.name, f.content_type, base64.b64decode(f.content_base64), f.inline, f.content_id)
                for f in self.attachments
            ),
            metadata=self.metadata,
            send_at=self.send_at,
            unusable=unusable,
        )


class SendRequest(_Send):
    """One email to everybody in `to`. An answer (`thread_id`) may leave `to` out."""

    # "bulk" is read as a BulkRequest.
    kind: Annotated[
        Literal["individual", "bulk", "workflow"], Field(json_schema_extra={"enum": ["individual", "workflow"]})
    ]
    """Decides, with `from`, through which door the email goes."""
    to: Annotated[list[Recipient], Field(json_schema_extra={"maxItems": MAX_RECIPIENTS})] = []
    """With `cc` and `bcc` at most 500."""

    def outgoing(self) -> Outgoing:
        """The same as a value of ours, files decoded."""
        return self._outgoing(tuple(p.contact() for p in self.to))


class BulkRequest(_Send):
    """One email for each of `to`. An address that is none keeps back its own email alone."""

    kind: Literal["bulk"]
    to: Annotated[list[BulkRecipient], Field(json_schema_extra={"maxItems": MAX_BULK_RECIPIENTS})] = []
    """At least one."""
    cc: Annotated[list[Recipient], Field(json_schema_extra={"maxItems": 0})] = []
    """Not of a bulk send: everybody here would get all of them."""
    bcc: Annotated[list[Recipient], Field(json_schema_extra={"maxItems": 0})] = []
    """Not of a bulk send."""

    def outgoing(self) -> Outgoing:
        """The same as a value of ours, files decoded."""
        found = [p.checked() for p in self.to]
        problems = {i: problem for i, (_, problem) in enumerate(found) if problem}
        return self._outgoing(tuple(contact for contact, _ in found), problems)


def send_request(value: dict[str, Any]) -> SendRequest | BulkRequest:
    """The body of a send; raises InvalidRequest."""
    return read(BulkRequest, value) if value.get("kind") == "bulk" else read(SendRequest, value)


class ResolveSenderRequest(_Body):
    """An email as far as the door depends on it."""

    kind: Literal["individual", "bulk", "workflow"]
    user_id: Id
    from_: Annotated[EmailAddress | None, Field(alias="from")] = None


def read[T: BaseModel](model: type[T], value: object) -> T:
    """Check a JSON value against a model; raises InvalidRequest that names each field that can't be used."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = [
            {"field": _path(e["loc"]), "message": e["msg"].removeprefix("Value error, ")}
            for e in error.errors(include_url=False)
        ]
        raise InvalidRequest(
            "Some fields can't be used; `errors` names each. Nothing was changed.", errors=wrong
        ) from None


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path
