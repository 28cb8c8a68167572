"""Where the port of a provider's server is tested: the fake, and the real adapter at the local cloud's SMTP server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Literal, Protocol

from sync.adapters.smtp import ProviderSmtp
from sync.domain.body import Body
from sync.domain.errors import Declined, OutsideError, Throttled, Unclear
from sync.domain.mail import Address
from sync.domain.provider import Email, Provider, Security, ServerReply
from sync.flows.ports import Smtp
from tests.cloud.smtp import Reply, SmtpSink
from tests.contracts.values import ACCOUNT, NOW
from tests.fakes.faults import Faults
from tests.fakes.smtp import FakeSmtp

CREDENTIALS = ("crm@news.example", "pässwörd 1")
LOCAL = (ip_network("127.0.0.0/8"),)

Command = Literal["AUTH", "MAIL", "RCPT", "DATA"]


def email(**changes: Any) -> Email:
    """An email to Ada, with a copy for Bob."""
    made = Email(
        message_id="<msg_1@news.example>",
        date=NOW,
        sender=Address("offers@news.example", "Offers"),
        to=(Address("ada@customer.example", "Ada"),),
        cc=(Address("bob@customer.example"),),
        subject="Our offer",
        body=Body("<p>Dear Ada</p>", "Dear Ada"),
    )
    return replace(made, **changes)


def provider(host: str, port: int, security: Security, **changes: Any) -> Provider:
    """A provider at this place, with the login that the stages ask for."""
    made = Provider(
        account_id=ACCOUNT,
        host=host,
        port=port,
        security=security,
        sender=Address("offers@news.example", "Offers"),
        username=CREDENTIALS[0],
        password=CREDENTIALS[1],
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class Received:
    """An email that the server took: the envelope, and of the content what tells emails apart."""

    mail_from: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str


class SmtpStage(Protocol):
    """A server that asks for `CREDENTIALS`, and the port to it."""

    @property
    def smtp(self) -> Smtp:
        """The port."""

    def provider(self, security: Security = "starttls", **changes: Any) -> Provider:
        """How it is reached."""

    def says(self, command: Command, reply: str, recipient: str | None = None) -> None:
        """The next such command (for this recipient) is answered so."""

    def cuts(self, command: Command, *, applied: bool = False) -> None:
        """The connection is cut at the next such command; of DATA: once all of the email is there, and kept where `applied`."""

    @property
    def received(self) -> list[Received]:
        """What it took."""


class FakeSmtpStage:
    """The fake."""

    def __init__(self) -> None:
        self._faults = Faults()
        self.smtp = self._fake = FakeSmtp(self._faults)
        self._fake.credentials = CREDENTIALS

    def provider(self, security: Security = "starttls", **changes: Any) -> Provider:
        return provider(port=587, security=security, **{"host": "smtp.example"} | changes)

    def says(self, command: Command, reply: str, recipient: str | None = None) -> None:
        said = ServerReply(int(reply[:3]), reply[4:])
        if recipient is not None:
            self._fake.replies[recipient] = said
            return
        error: OutsideError = Throttled(str(said), retry_after=timedelta())
        if said.permanent:
            error = Declined(str(said), code=f"smtp_{said.code}", status=said.code)
        error.stage = "login" if command == "AUTH" else "server"
        self._faults.fail(_CALL[command], error)

    def cuts(self, command: Command, *, applied: bool = False) -> None:
        self._faults.fail(_CALL[command], Unclear(), applied=applied)

    @property
    def received(self) -> list[Received]:
        return [
            Received(one.email.sender.address, one.recipients, one.email.message_id, one.email.subject)
            for one in self._fake.outgoing
        ]


_CALL = {"AUTH": "smtp.*", "MAIL": "smtp.submission", "RCPT": "smtp.submission", "DATA": "smtp.hand_over"}


class SinkStage:
    """The adapter at the SMTP server."""

    def __init__(self, sink: SmtpSink) -> None:
        self._sink = sink
        self.smtp = ProviderSmtp("app.example", LOCAL)

    def provider(self, security: Security = "starttls", **changes: Any) -> Provider:
        port = self._sink.tls_port if security == "tls" else self._sink.port
        return provider(port=port, security=security, **{"host": "127.0.0.1"} | changes)

    def says(self, command: Command, reply: str, recipient: str | None = None) -> None:
        self._sink.script(Reply(command=command, reply=reply, recipient=recipient))

    def cuts(self, command: Command, *, applied: bool = False) -> None:
        self._sink.script(Reply(command=command, drop=True, applied=applied))

    @property
    def received(self) -> list[Received]:
        return [
            Received(mail.mail_from, tuple(mail.rcpt_to), mail.headers["Message-ID"], mail.subject)
            for mail in self._sink.messages
        ]


@asynccontextmanager
async def running_sink() -> AsyncIterator[SmtpSink]:
    """The local cloud's SMTP server, which asks for `CREDENTIALS`."""
    sink = SmtpSink(credentials=CREDENTIALS)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.stop()
