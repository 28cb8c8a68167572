"""What the parts of the emulator share: its memory, its switches, and the failures that a test has planned."""

from dataclasses import dataclass, field

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra.clients import Clients
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.grants import Grants
from tests.cloud.entra.keys import SigningKey
from tests.cloud.entra.recording import RecordedRequest
from tests.cloud.entra.switches import Switches
from tests.cloud.entra.troubles import Troubles


@dataclass
class PlannedTokenError:
    """
    A failure of the next token calls, whatever they ask.

    `times` counts down with each call it fails. `grant_type` limits it to calls of that grant; None takes any.
    `retry_after_seconds` is sent as Retry-After; None sends none.
    """

    error: EntraError
    times: int
    grant_type: str | None = None
    retry_after_seconds: int | None = None


@dataclass
class EntraState:
    """Everything the emulator knows. `url` is its root without a trailing slash."""

    url: str
    directory: Directory
    clock: Clock
    key: SigningKey
    clients: Clients
    grants: Grants
    troubles: Troubles
    switches: Switches = field(default_factory=Switches)
    planned_errors: list[PlannedTokenError] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)

    def reset(self) -> None:
        """Back to the beginning, and nobody is there. Registered apps stay, their secrets good, and so does the clock."""
        self.directory.reset()
        self.clients.reset()
        self.grants.reset()
        self.troubles.reset()
        self.switches = Switches()
        self.planned_errors.clear()
        self.requests.clear()
