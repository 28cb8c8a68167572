"""Who takes part in a simulated month, and what is expected for each of them."""

from dataclasses import dataclass, field
from datetime import datetime

from sync.domain.message import Contact


@dataclass
class Thread:
    """An email from the CRM, and how many have answered."""

    message_id: str
    subject: str
    contact: Contact
    answers: int = 0


@dataclass
class Member:
    """
    A user of the CRM with a mailbox.

    signed_out: their password has changed, and they did not sign in since. connected_since: when they were first seen connected
    after that, or ever. apart: the hours in which they were not, so that the app tries as often as it may.
    """

    account_id: str
    user_id: str
    email: str
    connection_id: str = ""
    signed_out: bool = False
    connected_since: datetime | None = None
    apart: set[datetime] = field(default_factory=set, repr=False)
    sign_ins: int = 0
    password_changes: int = 0
    left_at: datetime | None = None
    threads: list[Thread] = field(default_factory=list, repr=False)
    #: the mail of their threads, by subject, and when it came
    mail: dict[str, datetime] = field(default_factory=dict, repr=False)
    #: what came after this may be told or not, since they left
    undecided_after: datetime | None = None

    @property
    def takes_part(self) -> bool:
        """Whether they are connected, as far as it is up to them."""
        return bool(self.connection_id) and not self.signed_out and self.left_at is None
