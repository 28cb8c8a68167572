"""
Submission to an account's own provider (RFC 5321, 6409): `smtp_session.py` leads to it, here an email is offered and handed over.

Once the server has all of an email and gives no answer, it may have sent it: that is the one moment with an unclear end. A loss
before is as good as a "later".

All times together are less than the lease a worker has on a message (`domain.message.LEASE`): who lost it has nothing under way.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import aiosmtplib

from sync.adapters.mime import as_bytes
from sync.adapters.smtp_session import Sessions, Way, cut, reason_of, refusal
from sync.domain.errors import Declined, Throttled, Unclear
from sync.domain.internet_name import ascii_address, needs_smtputf8
from sync.domain.provider import Email, Provider, ServerReply
from sync.domain.server_address import Network

#: Connecting and logging in, where somebody waits for the answer.
CHECK_S = 15.0
#: A submission from its first byte to the last answer; and of that, what goes before the email itself.
SUBMISSION_S = 100.0
OFFER_S = 60.0

NO_SMTPUTF8 = ServerReply(
    553, "5.6.7 The provider's server does not take addresses with letters beyond ASCII before the @ (SMTPUTF8)"
)
NO_ADDRESS = ServerReply(553, "5.1.3 This address can't be written to a mail server")


class ProviderSmtp:
    """
    Keeps `flows.ports.Smtp`.

    client_name: what we call ourselves to servers (RFC 5321 4.1.1.1). allowed_networks: where a provider may be although that is
    not on the public internet.
    """

    def __init__(self, client_name: str, allowed_networks: Collection[Network] = ()) -> None:
        self._sessions = Sessions(client_name, allowed_networks)

    async def check(self, provider: Provider) -> None:
        """Connect, encrypt and log in, and send nothing; raises as `submission`."""
        way = Way(provider)
        async with AsyncExitStack() as stack:
            with way.told():
                async with asyncio.timeout(CHECK_S):
                    await stack.enter_async_context(self._sessions.open(way))

    @asynccontextmanager
    async def submission(
        self, provider: Provider, email: Email, recipients: Sequence[str]
    ) -> AsyncIterator["OfferedEmail"]:
        """Connect, log in, and offer the email to these recipients; leaving the context closes the connection."""
        way, ends_at = Way(provider), asyncio.get_running_loop().time() + SUBMISSION_S
        async with AsyncExitStack() as stack:
            with way.told():
                async with asyncio.timeout(OFFER_S):
                    client = await stack.enter_async_context(self._sessions.open(way))
                    offered = OfferedEmail(client, email, recipients, ends_at)
                    await offered.ask()
            yield offered


@dataclass
class OfferedEmail:
    """Keeps `flows.ports.Submission`, once it has been asked for."""

    _client: aiosmtplib.SMTP
    _email: Email
    _recipients: Sequence[str]
    _ends_at: float
    _data: bytes = b""
    _handed_over: bool = False
    accepted: tuple[str, ...] = ()
    deferred: Mapping[str, ServerReply] = field(default_factory=dict)
    refused: Mapping[str, ServerReply] = field(default_factory=dict)

    async def ask(self) -> None:
        """Offer the email (MAIL), and ask for each recipient (RCPT); where none is accepted, take the offer back."""
        mail = self._email
        named = (mail.sender.address, *(a.address for a in (*mail.to, *mail.cc)), *self._recipients)
        utf8 = any(map(needs_smtputf8, named)) and self._client.supports_extension("smtputf8")
        if needs_smtputf8(mail.sender.address) and not utf8:
            raise Declined(str(NO_SMTPUTF8), code="smtputf8_not_offered", status=NO_SMTPUTF8.code)
        try:
            sender, *_ = [ascii_address(person.address) for person in (mail.sender, *mail.to, *mail.cc)]
        except ValueError as error:
            raise Declined(str(NO_ADDRESS), code="address_not_usable", status=NO_ADDRESS.code) from error
        self._data = await asyncio.to_thread(as_bytes, mail, utf8=utf8)  # a second for the largest
        options = [f"SIZE={len(self._data)}"] if self._client.supports_extension("size") else []
        options += ["BODY=8BITMIME", "SMTPUTF8"] if utf8 else []  # RFC 6531 3.6: the one asks for the other
        answer = await _command(self._client, "MAIL", f"FROM:<{sender}>", *options)
        if not _is_yes(answer):
            raise refusal(answer)
        for recipient in dict.fromkeys(self._recipients):
            await self._ask_for(recipient, utf8=utf8)
        if not self.accepted:
            with suppress(aiosmtplib.SMTPException):
                await self._client.rset()

    async def _ask_for(self, recipient: str, *, utf8: bool) -> None:
        if needs_smtputf8(recipient) and not utf8:
            self.refused = {**self.refused, recipient: NO_SMTPUTF8}
            return
        try:
            address = ascii_address(recipient)
        except ValueError:
            self.refused = {**self.refused, recipient: NO_ADDRESS}
            return
        answer = await _command(self._client, "RCPT", f"TO:<{address}>")
        if _is_yes(answer):
            self.accepted += (recipient,)
        elif answer.permanent:
            self.refused = {**self.refused, recipient: answer}
        elif answer.code >= 400 and answer.code != 421:  # 421: the server goes, and forgets who it accepted
            self.deferred = {**self.deferred, recipient: answer}
        else:
            raise refusal(answer)

    async def hand_over(self) -> None:
        """Hand the email over for the accepted recipients, once; raises Declined, Throttled, Unclear."""
        if not self.accepted or self._handed_over:
            raise RuntimeError("no recipient was accepted, or it was handed over before")
        self._handed_over, under_way = True, False
        try:
            async with asyncio.timeout_at(self._ends_at):
                ready = await _command(self._client, "DATA")
                if ready.code >= 400:
                    raise refusal(ready)
                if ready.code != 354:
                    raise aiosmtplib.SMTPException("The server is not ready for the email")
                under_way = True
                answer = await _content(self._client, self._data)
        except (aiosmtplib.SMTPException, OSError) as error:
            cut(self._client)
            if under_way:
                raise Unclear(f"The server got the email and gave no answer: {reason_of(error)}.") from error
            words = f"The connection broke off before the email was handed over: {reason_of(error)}."
            raise Throttled(words, retry_after=timedelta()) from error
        except BaseException:
            cut(self._client)  # what was not sent of it must not go on being sent
            raise
        if not _is_yes(answer):
            raise refusal(answer)


async def _command(client: aiosmtplib.SMTP, *words: str) -> ServerReply:
    answer = await client.execute_command(*(word.encode() for word in words))
    return ServerReply.of(answer.code, answer.message)


async def _content(client: aiosmtplib.SMTP, data: bytes) -> ServerReply:
    """The email itself and its end (RFC 5321 4.5.2), and what the server says to it."""
    # aiosmtplib's `data` does this with DATA in one, and could not tell an email that never began from one without an answer.
    if client.protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    client.protocol.write(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    answer = await client.protocol.read_response()
    return ServerReply.of(answer.code, answer.message)


def _is_yes(answer: ServerReply) -> bool:
    return 200 <= answer.code < 300
