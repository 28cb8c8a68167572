"""
The keys that Entra ID signs tokens with: found by OpenID Connect Discovery, kept for a day, and looked for again where a token
names another (https://learn.microsoft.com/entra/identity-platform/signing-key-rollover).
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt

TIMEOUT_S = 10.0
KEPT_FOR = timedelta(days=1)
#: A token can name any key: for one that Entra ID does not have it is asked again no sooner than this.
NOT_AGAIN_BEFORE = timedelta(minutes=5)


@dataclass(frozen=True)
class Issuer:
    """`name`: as tokens name it, with `{tenantid}` in the place of the tenant. `keys`: by their `kid`."""

    name: str
    keys: dict[str, jwt.PyJWK]


class EntraKeys:
    """`authority`: as `https://login.microsoftonline.com/organizations`."""

    def __init__(self, http: httpx.AsyncClient, authority: str, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._document = f"{authority}/v2.0/.well-known/openid-configuration"
        self._clock = clock
        self._found: Issuer | None = None
        self._asked_at: datetime | None = None
        self._asking = asyncio.Lock()

    async def signing(self, key_id: str) -> tuple[str, jwt.PyJWK] | None:
        """The issuer's name, and its key with this `kid`; None: it has no such key, or can't be asked now."""
        async with self._asking:
            if self._is_due(key_id):
                self._asked_at = self._clock()
                # Where it can't be asked, the keys of before are good still.
                with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError):
                    self._found = await self._ask()
        found = self._found
        return (found.name, found.keys[key_id]) if found is not None and key_id in found.keys else None

    def _is_due(self, key_id: str) -> bool:
        if self._asked_at is None:
            return True
        patience = KEPT_FOR if self._found is not None and key_id in self._found.keys else NOT_AGAIN_BEFORE
        return self._clock() - self._asked_at >= patience

    async def _ask(self) -> Issuer:
        document = await self._json(self._document)
        found = await self._json(document["jwks_uri"])
        return Issuer(document["issuer"], {key.key_id: key for key in jwt.PyJWKSet.from_dict(found).keys if key.key_id})

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(url, timeout=TIMEOUT_S, follow_redirects=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
