"""
Secrets at rest: AES-256-GCM, each bound to where it belongs, so that a row moved to another account can't be opened there.

A sealed value is `<key id>.<base64url of nonce and ciphertext>`. Sealing uses the newest key, unsealing the one that is named,
so that keys rotate by putting a new one in front; the old one can go once nothing is sealed with it any more (`is_newest`).
AES-GCM: NIST SP 800-38D; nonces of 96 random bits.
"""

import base64
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class AesGcmSealing:
    """Seals with the first of `keys` (32 bytes each, newest first)."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self._newest = key_id(keys[0])

    def seal(self, secret: str, *where: str) -> str:
        """Encrypt for this place (account, connection, column)."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, secret.encode(), _bound_to(self._newest, where))
        return f"{self._newest}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, *where: str) -> str:
        """
        Decrypt; raises ValueError where it was sealed for another place, with an unknown key, or was changed.

        Its words name the key and what an operator can do, and hold nothing secret.
        """
        name, _, text = sealed.partition(".")
        if name not in self._keys:
            raise ValueError(
                f"it is sealed with a key that is not among ENCRYPTION_KEYS (key id {name[:8]!r});"
                " put that key back, behind the newest"
            )
        try:
            data = base64.urlsafe_b64decode(text)
            return self._keys[name].decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound_to(name, where)).decode()
        except (InvalidTag, ValueError) as error:
            raise ValueError(
                f"it was sealed for another place, or changed since (key id {name}); put back what was there before"
            ) from error

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed this. Not checked: whether it can be opened."""
        return sealed.partition(".")[0] == self._newest


def key_id(key: bytes) -> str:
    """The public name of a key."""
    return hashlib.sha256(b"key id|" + key).hexdigest()[:8]


def _bound_to(name: str, where: Sequence[str]) -> bytes:
    return "\x1f".join((name, *where)).encode()
