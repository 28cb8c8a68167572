"""Sealing without cryptography: what is sealed can be told from what is not, and opens only where it belongs."""

import base64
import json


class FakeSealing:
    """Keeps `flows.ports.Sealing`."""

    def seal(self, secret: str, *where: str) -> str:
        """Wrap it up with its place."""
        return "sealed." + base64.urlsafe_b64encode(json.dumps([secret, *where]).encode()).decode()

    def unseal(self, sealed: str, *where: str) -> str:
        """Unwrap what was sealed for the same place; raises ValueError otherwise."""
        mark, _, text = sealed.partition(".")
        if mark != "sealed":
            raise ValueError("not sealed")
        secret, *place = json.loads(base64.urlsafe_b64decode(text))
        if place != list(where):
            raise ValueError("sealed for another place")
        return str(secret)
