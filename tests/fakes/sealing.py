"""Sealing without cryptography: what is sealed can be told from what is not, and opens only where it belongs."""

import base64
import json
from collections.abc import Sequence


class FakeSealing:
    """Keeps `flows.ports.Sealing`. Seals with the first of `keys`, which are names, newest first."""

    def __init__(self, keys: Sequence[str] = ("key",)) -> None:
        self._keys = keys

    def seal(self, secret: str, *where: str) -> str:
        """Wrap it up with its place."""
        return f"{self._keys[0]}." + base64.urlsafe_b64encode(json.dumps([secret, *where]).encode()).decode()

    def unseal(self, sealed: str, *where: str) -> str:
        """Unwrap what was sealed for the same place; raises ValueError otherwise."""
        key, _, text = sealed.partition(".")
        if key not in self._keys:
            raise ValueError(f"sealed with a key that is not here (key id {key})")
        secret, *place = json.loads(base64.urlsafe_b64decode(text))
        if place != list(where):
            raise ValueError(f"sealed for another place (key id {key})")
        return str(secret)

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed this."""
        return sealed.partition(".")[0] == self._keys[0]
