"""
The account's own email provider in the local cloud: an SMTP server that keeps what it got and delivers nothing.

Imitated: a submission server (RFC 6409) as aiosmtpd speaks SMTP (RFC 5321), on two ports: one that offers STARTTLS
(RFC 3207) and, on it, takes a password only once the connection is encrypted; one that is TLS from the first byte
(RFC 8314). AUTH PLAIN and LOGIN, SMTPUTF8, 8BITMIME, SIZE.

Not imitated: delivery, bounces, DKIM, a provider's check that From is a domain of its own, pipelining and CHUNKING.
"""

import asyncio
import base64
import email
import email.policy
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage, MIMEPart
from typing import Any, Literal

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import Field

from tests.cloud.certificates import LocalAuthority
from tests.cloud.controls import Control, read_control
from tests.cloud.server import Port, Server

#: What Exchange Online and most providers take, in bytes of the encoded message.
MAX_MESSAGE_BYTES = 35 * 1024 * 1024


@dataclass(frozen=True)
class ReceivedAttachment:
    """A file of a message; `size` in decoded bytes."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True)
class ReceivedMail:
    """
    One message as it came.

    `headers`: by name as written, a repeated one joined with line feeds. `text`, `html`: None where there is no such
    part. `authenticated_as`: the user name given with AUTH, if any. `tls`: whether the connection was encrypted.
    """

    mail_from: str
    rcpt_to: list[str]
    headers: dict[str, str]
    subject: str
    text: str | None
    html: str | None
    attachments: list[ReceivedAttachment]
    raw_base64: str
    authenticated_as: str | None
    tls: bool


class Reply(Control):
    """
    `POST /_lab/answer`: how the next `times` commands of this kind are answered.

    `reply` is the whole line, as `451 4.3.0 Try again later`. With `drop` the connection is cut instead; `applied`
    says whether the message of a DATA command is kept all the same. `recipient`: of RCPT commands, those for this address alone.
    AUTH can be refused, and not cut.
    """

    command: Literal["AUTH", "MAIL", "RCPT", "DATA"]
    recipient: str | None = None
    reply: str | None = Field(default=None, pattern=r"^[2345]\d\d [ -~]+$")
    drop: bool = False
    applied: bool = False
    times: int = Field(default=1, ge=1)


@dataclass
class _Script:
    reply: Reply
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.reply.times


class SmtpSink:
    """
    An SMTP server of 127.0.0.1.

    port: for SMTP with STARTTLS offered, `host_port`. tls_port: for TLS from the start, `tls_host_port`.
    credentials: `(user, password)` that must be given; None: anybody may send, and any password is taken.
    lab_port: for the controls, at `url`. Zero takes a free port.

    Clients trust the server by `certificate_path`, an authority's certificate made at `start`.

    Controls: `GET /_lab/messages`, `POST /_lab/answer`, `POST /_lab/reset`.
    """

    def __init__(
        self, port: int = 0, *, tls_port: int = 0, lab_port: int = 0, credentials: tuple[str, str] | None = None
    ) -> None:
        self._credentials = credentials
        self._authority = LocalAuthority()
        self._scripts: deque[_Script] = deque()
        self._listeners: list[asyncio.Server] = []
        self.messages: list[ReceivedMail] = []
        self._port, self._tls_port = Port(port), Port(tls_port)
        self.port, self.tls_port = self._port.number, self._tls_port.number
        self.host_port = f"127.0.0.1:{self.port}"
        self.tls_host_port = f"127.0.0.1:{self.tls_port}"
        self.certificate_path = self._authority.path

        application = web.Application()
        application.add_routes(
            [
                web.get("/_lab/messages", self._list_messages),
                web.post("/_lab/answer", self._script_reply),
                web.post("/_lab/reset", self._reset),
            ]
        )
        self._lab = Server(application, lab_port)
        self.url = self._lab.url

    async def start(self) -> None:
        """Listen on all three ports."""
        # aiosmtpd's own Controller runs a thread with a second event loop; its protocol class runs on ours as well.
        loop = asyncio.get_running_loop()
        tls = self._authority.write()

        def plain() -> SMTP:
            return SMTP(self, tls_context=tls, **self._options(loop))

        def encrypted() -> SMTP:
            # aiosmtpd counts only STARTTLS as encrypted, so that AUTH has to be let in here by hand; it warns of that.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                return SMTP(self, auth_require_tls=False, **self._options(loop))

        self._listeners.append(await self._port.serve(plain))
        self._listeners.append(await self._tls_port.serve(encrypted, tls))
        await self._lab.start()

    async def stop(self) -> None:
        """Stop listening and cut who is connected; what came stays readable from Python."""
        await self._lab.stop()
        for listener in self._listeners:
            listener.close()
            listener.abort_clients()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        self._authority.remove()

    def reset(self) -> None:
        """Forget every message and every scripted reply."""
        self.messages.clear()
        self._scripts.clear()

    def script(self, reply: Reply) -> None:
        """Answer the next commands so."""
        self._scripts.append(_Script(reply))

    def _options(self, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        return {
            "loop": loop,
            "hostname": "localhost",  # aiosmtpd otherwise asks the resolver for this machine's name
            "ident": "Local SMTP sink",
            "data_size_limit": MAX_MESSAGE_BYTES,
            "enable_SMTPUTF8": True,
            "auth_required": self._credentials is not None,
            "authenticator": self._authenticate,
        }

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        if (script := self._next_script("AUTH")) is not None:
            return AuthResult(success=False, handled=False, message=script.reply)
        user, password = given.login.decode(errors="replace"), given.password.decode(errors="replace")
        believed = self._credentials is None or (user, password) == self._credentials
        return AuthResult(success=believed, handled=False, auth_data=user)

    # aiosmtpd finds the next three by their names
    # (https://aiosmtpd.aio-libs.org/en/latest/handlers.html#handler-hooks).

    async def handle_MAIL(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Begin a message."""
        if (refusal := self._refusal(server, "MAIL")) is not None:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Add a recipient."""
        if (refusal := self._refusal(server, "RCPT", address)) is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message."""
        script = self._next_script("DATA")
        if script is None or script.applied:
            self.messages.append(_read(envelope, session, tls=_is_encrypted(server)))
        return "250 2.0.0 Kept" if script is None else _carry_out(server, script)

    def _refusal(self, server: SMTP, command: str, recipient: str | None = None) -> str | None:
        script = self._next_script(command, recipient)
        return None if script is None else _carry_out(server, script)

    def _next_script(self, command: str, recipient: str | None = None) -> Reply | None:
        fitting = (s for s in self._scripts if s.reply.command == command and s.reply.recipient in (None, recipient))
        script = next(fitting, None)
        if script is None:
            return None
        script.left -= 1
        if not script.left:
            self._scripts.remove(script)
        return script.reply

    async def _list_messages(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(mail) for mail in self.messages])

    async def _script_reply(self, request: web.Request) -> web.Response:
        reply = await read_control(request, Reply)
        if (reply.reply is None) != reply.drop or (reply.drop and reply.command == "AUTH"):
            return web.json_response({"error": "give either reply or drop, and only reply for AUTH"}, status=400)
        if reply.recipient is not None and reply.command != "RCPT":
            return web.json_response({"error": "recipient is of RCPT alone"}, status=400)
        self.script(reply)
        return web.json_response({"scripted": sum(script.left for script in self._scripts)})

    async def _reset(self, _request: web.Request) -> web.Response:
        self.reset()
        return web.Response(status=204)


def _carry_out(server: SMTP, script: Reply) -> str:
    if script.drop and server.transport is not None:
        transport = server.transport
        # Through TLS too, without a closing handshake: a cut line, not a polite end.
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    return script.reply or "421 4.3.2 Cut"


def _is_encrypted(server: SMTP) -> bool:
    return server.transport is not None and server.transport.get_extra_info("ssl_object") is not None


def _read(envelope: Envelope, session: Session, *, tls: bool) -> ReceivedMail:
    raw = envelope.original_content or b""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    headers: dict[str, str] = {}
    for name, value in message.items():
        headers[name] = f"{headers[name]}\n{value}" if name in headers else str(value)
    return ReceivedMail(
        mail_from=envelope.mail_from or "",
        rcpt_to=list(envelope.rcpt_tos),
        headers=headers,
        subject=str(message.get("Subject", "")),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        attachments=[
            ReceivedAttachment(part.get_filename() or "", part.get_content_type(), len(_decoded(part)))
            for part in _files(message)
        ],
        raw_base64=base64.b64encode(raw).decode(),
        authenticated_as=session.auth_data if session.authenticated else None,
        tls=tls,
    )


def _body(message: EmailMessage, subtype: Literal["plain", "html"]) -> str | None:
    part = message.get_body((subtype,))
    if part is None:
        return None
    with suppress(LookupError):  # a charset nobody knows
        return str(part.get_content())
    return _decoded(part).decode(errors="replace")


def _files(message: EmailMessage) -> list[EmailMessage]:
    """Every part with a file name, inline images too."""
    return [p for p in message.walk() if isinstance(p, EmailMessage) and not p.is_multipart() and p.get_filename()]


def _decoded(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
