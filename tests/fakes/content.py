"""Bodies and files, in memory, under names made of what they are."""

import hashlib
import json
from collections.abc import Sequence

from sync.adapters.rows import plain, typed
from sync.domain.batch import Letter
from sync.domain.body import Body
from sync.domain.errors import NotFound
from tests.fakes.faults import Faults


class FakeContent:
    """Keeps `flows.ports.Content`. `stored`: everything, by name."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.stored: dict[str, bytes] = {}

    async def put_body(self, account_id: str, connection_id: str, message_id: str, body: Body) -> str:
        """Store a body; returns its name."""
        async with self._faults.at("content.put_body"):
            return self._put(f"{account_id}/{connection_id}/{message_id}", json.dumps([body.html, body.text]).encode())

    async def body(self, name: str) -> Body:
        """A stored body."""
        async with self._faults.at("content.body"):
            return Body(*json.loads(self._get(name)))

    async def put_letters(self, account_id: str, connection_id: str, batch_id: str, letters: Sequence[Letter]) -> str:
        """Store the letters of a batch; returns their name."""
        async with self._faults.at("content.put_letters"):
            content = json.dumps([plain(letter) for letter in letters]).encode()
            return self._put(f"{account_id}/{connection_id}/{batch_id}", content)

    async def letters(self, name: str) -> tuple[Letter, ...]:
        """Stored letters."""
        async with self._faults.at("content.letters"):
            return tuple(typed(Letter, letter) for letter in json.loads(self._get(name)))

    async def put_file(self, account_id: str, connection_id: str, attachment_id: str, content: bytes) -> str:
        """Store a file; returns its name. The same content under the same id has the same name."""
        async with self._faults.at("content.put_file"):
            return self._put(f"{account_id}/{connection_id}/{attachment_id}", content)

    async def file(self, name: str) -> bytes:
        """A stored file."""
        async with self._faults.at("content.file"):
            return self._get(name)

    async def remove(self, name: str) -> None:
        """Remove one body, file, or letters; no error where it is gone, or the name is empty."""
        async with self._faults.at("content.remove"):
            self.stored.pop(name, None)

    async def remove_all(self, account_id: str, connection_id: str) -> int:
        """Remove all that was kept for a connection, also what no message came to lead to; returns how much that was."""
        async with self._faults.at("content.remove_all"):
            names = [name for name in self.stored if name.startswith(f"{account_id}/{connection_id}/")]
            for name in names:
                del self.stored[name]
            return len(names)

    def _put(self, stem: str, content: bytes) -> str:
        name = f"{stem}/{hashlib.sha256(content).hexdigest()}"
        self.stored[name] = content
        return name

    def _get(self, name: str) -> bytes:
        if name not in self.stored:
            raise NotFound
        return self.stored[name]
