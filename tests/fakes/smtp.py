"""An account's own provider, in memory: it keeps what it is handed, and answers for single addresses as a test says."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sync.domain.errors import Declined
from sync.domain.provider import Email, Provider, ServerReply
from tests.fakes.faults import Faults


@dataclass(frozen=True)
class HandedOver:
    """An email that the server took, for these recipients."""

    provider: Provider
    email: Email
    recipients: tuple[str, ...]


class FakeSmtp:
    """
    Keeps `flows.ports.Smtp`.

    outgoing: what was handed over, in order. replies: what the server says to single recipients, by address; 4yz or 5yz.
    credentials: user name and password that must be given; None: anybody's are good.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.outgoing: list[HandedOver] = []
        self.replies: dict[str, ServerReply] = {}
        self.credentials: tuple[str, str] | None = None

    def copies(self, message_id: str) -> list[HandedOver]:
        """Every time that the email with this Message-ID was handed over."""
        return [one for one in self.outgoing if one.email.message_id == message_id]

    async def check(self, provider: Provider) -> None:
        """Log in, and send nothing; raises as `submission`."""
        async with self._faults.at("smtp.check"):
            self._log_in(provider)

    @asynccontextmanager
    async def submission(
        self, provider: Provider, email: Email, recipients: Sequence[str]
    ) -> AsyncIterator["FakeSubmission"]:
        """Log in, and offer the email to these recipients."""
        async with self._faults.at("smtp.submission"):
            self._log_in(provider)
            said = {r: self.replies[r] for r in dict.fromkeys(recipients) if r in self.replies}
            accepted = tuple(r for r in dict.fromkeys(recipients) if r not in said)
            offered = FakeSubmission(
                self._faults,
                self.outgoing,
                HandedOver(provider, email, accepted),
                accepted,
                deferred={r: reply for r, reply in said.items() if not reply.permanent},
                refused={r: reply for r, reply in said.items() if reply.permanent},
            )
        yield offered

    def _log_in(self, provider: Provider) -> None:
        if self.credentials not in (None, (provider.username, provider.password)):
            refused = Declined("535 5.7.8 Authentication credentials invalid", code="smtp_535", status=535)
            refused.stage = "login"
            raise refused


@dataclass
class FakeSubmission:
    """Keeps `flows.ports.Submission`."""

    _faults: Faults
    _outgoing: list[HandedOver]
    _offered: HandedOver
    accepted: tuple[str, ...]
    deferred: Mapping[str, ServerReply]
    refused: Mapping[str, ServerReply]
    _handed_over: bool = field(default=False, init=False)

    async def hand_over(self) -> None:
        """Hand the email over for the accepted recipients, once."""
        if not self.accepted or self._handed_over:
            raise RuntimeError("no recipient was accepted, or it was handed over before")
        self._handed_over = True
        async with self._faults.at("smtp.hand_over"):
            self._outgoing.append(self._offered)
