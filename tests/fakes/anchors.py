"""The keys of threads, in memory."""

from collections.abc import Sequence

from sync.domain.thread_rule import Anchor, KeyKind
from tests.fakes.faults import Faults


class FakeAnchors:
    """Keeps `flows.ports.Anchors`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._anchors: dict[tuple[str, KeyKind, str], Anchor] = {}
        self._known: dict[tuple[str, str], str] = {}

    async def find(self, connection_id: str, keys: Sequence[tuple[KeyKind, str]]) -> list[Anchor]:
        """The anchors that exist under these keys."""
        async with self._faults.at("anchors.find"):
            found = (self._anchors.get((connection_id, kind, value)) for kind, value in keys)
            return [anchor for anchor in found if anchor is not None]

    async def add(self, connection_id: str, anchors: Sequence[Anchor]) -> None:
        """Keep these anchors; a key that exists already stays as it is."""
        async with self._faults.at("anchors.add"):
            for anchor in anchors:
                self._anchors.setdefault((connection_id, anchor.kind, anchor.value), anchor)

    async def message_of(self, connection_id: str, name: str) -> str | None:
        """The id of our message that this name (a Graph id, an internet message id) was remembered for; an empty name: None."""
        async with self._faults.at("anchors.message_of"):
            return self._known.get((connection_id, name)) if name else None

    async def remember(self, connection_id: str, name: str, message_id: str) -> None:
        """Keep which message of ours a message of the mailbox is."""
        async with self._faults.at("anchors.remember"):
            self._known[connection_id, name] = message_id

    async def count(self, connection_id: str) -> int:
        """How many keys there are; what was remembered is not counted."""
        async with self._faults.at("anchors.count"):
            return sum(connection == connection_id for connection, _, _ in self._anchors)

    async def remove_all(self, connection_id: str) -> None:
        """Remove every key, and all that was remembered."""
        async with self._faults.at("anchors.remove_all"):
            self._anchors = {key: anchor for key, anchor in self._anchors.items() if key[0] != connection_id}
            self._known = {key: message for key, message in self._known.items() if key[0] != connection_id}
