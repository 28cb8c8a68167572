"""Where sign-ins are stored, with Microsoft behind them: in memory, on Azurite with MSAL at the emulator, and from a script."""

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from sync.adapters.blobs import Container
from sync.adapters.sealing import AesGcmSealing, key_id
from sync.adapters.tokens import SealedTokens
from sync.domain.connection import Connection, Mailbox
from sync.domain.errors import ReconnectNeeded
from sync.flows.ports import Tokens
from tests.cloud.polling import eventually
from tests.contracts.entra_stages import DANA, EmulatedStage
from tests.contracts.values import connection
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults
from tests.fakes.people import People
from tests.fakes.tokens import FakeTokens

OLD_KEY, KEY = b"o" * 32, b"k" * 32
LIFE = timedelta(hours=1)


class TokenStage(Protocol):
    """The port, and what happens to Dana's sign-ins at Microsoft."""

    def tokens(self) -> Tokens:
        """The port as another process has it."""

    def connection(self, connection_id: str = "con_1", **changes: Any) -> Connection:
        """A connection to Dana's mailbox."""

    async def new_sign_in(self) -> str:
        """A token cache as a sign-in of Dana's gives it."""

    async def revoke(self) -> None:
        """Every sign-in of Dana's dies."""

    async def want_sign_in_with(self, claims: str) -> None:
        """Microsoft refuses the next refresh, and wants a sign-in with these claims (JSON)."""

    def rotate_keys(self) -> None:
        """From now on there is a newer key in front of the one of before."""

    async def sealed_with_newest(self, connection: Connection) -> bool:
        """Whether the stored sign-in is sealed with the newest key."""


class FakeTokenStage:
    """The fake."""

    def __init__(self) -> None:
        self._people = People()
        self._people.add(DANA)
        self._fake = FakeTokens(self._people, Faults())

    def tokens(self) -> Tokens:
        return self._fake

    def connection(self, connection_id: str = "con_1", **changes: Any) -> Connection:
        return connection(connection_id, **changes)

    async def new_sign_in(self) -> str:
        return self._people.signed_in(self._people[DANA], self._people[DANA].wanted)

    async def revoke(self) -> None:
        self._people.revoke(DANA, "sign_in_expired")

    async def want_sign_in_with(self, claims: str) -> None:
        self._people.challenge(DANA, claims, by_sign_in=True)

    def rotate_keys(self) -> None:
        self._fake.newest_key = "key 2"

    async def sealed_with_newest(self, connection: Connection) -> bool:
        return self._fake.sealed_with[connection.connection_id] == self._fake.newest_key


class SealedTokenStage:
    """Sealed blobs, and MSAL at the emulator. Each `tokens()` is a worker of its own, with an MSAL of its own."""

    def __init__(self, entra: EmulatedStage, container: Container, workers: ExitStack, mailbox: Mailbox) -> None:
        self.entra = entra
        self.container = container
        self._workers = workers
        self._mailbox = mailbox
        self._keys = [OLD_KEY]

    def tokens(self) -> SealedTokens:
        msal = self.entra.another_process()
        self._workers.callback(msal.close)
        return SealedTokens(msal, AesGcmSealing(self._keys), self.container, FakeClock())

    def connection(self, connection_id: str = "con_1", **changes: Any) -> Connection:
        return connection(connection_id, **{"mailbox": self._mailbox, **changes})

    async def new_sign_in(self) -> str:
        return (await self.entra.granted()).token_cache

    async def revoke(self) -> None:
        await self.entra.lab("/revoke", {"email": DANA})

    async def want_sign_in_with(self, claims: str) -> None:
        await self.entra.token_calls_fail("interaction_required", 50078, suberror="basic_action", claims=claims)

    def rotate_keys(self) -> None:
        self._keys = [KEY, OLD_KEY]

    async def sealed_with_newest(self, connection: Connection) -> bool:
        stored = await self.container.get(connection.connection_id)
        assert stored is not None
        return stored[0].decode().startswith(key_id(self._keys[0]) + ".")


def mailbox_of(home_account_id: str) -> Mailbox:
    """Dana's mailbox, with the id by which MSAL knows her account."""
    object_id, _, tenant_id = home_account_id.partition(".")
    return Mailbox(tenant_id, object_id, DANA, "Dana Doe", (), home_account_id)


@dataclass
class Call:
    """A refresh that was asked for. `answered`: its answer may go back."""

    answered: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedEntra:
    """
    A token endpoint that rotates strictly and answers when the test lets it.

    A token cache is `{"sign_in", "refresh", "token", "expires"}`; each refresh gives the next refresh token. What is spent is
    decided when a call comes in, as at Microsoft. `slow`: calls wait until `answer`. `failure`: what they end with.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._spent: set[tuple[str, int]] = set()
        self._sign_ins = 0
        self.calls: list[Call] = []
        self.slow = False
        self.failure: Exception | None = None

    def new_sign_in(self) -> str:
        """A token cache without an access token."""
        self._sign_ins += 1
        return json.dumps({"sign_in": f"sign-in {self._sign_ins}", "refresh": 0, "token": "", "expires": 0})

    async def asked(self, times: int) -> None:
        """Return once so many refreshes were asked for."""

        async def enough() -> bool:
            return len(self.calls) >= times

        await eventually(enough, f"{times} calls")

    def answer(self, number: int = -1) -> None:
        """Let the answer of this call go back."""
        self.calls[number].answered.set()

    def cached(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float] | None:
        """The token in the cache and its life in seconds."""
        cache = json.loads(token_cache)
        life_s = cache["expires"] - self._clock().timestamp()
        return (cache["token"], life_s) if life_s > 0 and cache.get("claims", "") == claims else None

    async def refresh(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float, str]:
        """A new token, its life in seconds, and the cache to store."""
        call = Call()
        self.calls.append(call)
        cache = json.loads(token_cache)
        key = (cache["sign_in"], cache["refresh"])
        refused = ReconnectNeeded(cause="spent") if key in self._spent else self.failure
        if refused is None:
            self._spent.add(key)
        if not self.slow:
            call.answered.set()
            await asyncio.sleep(0)
        await call.answered.wait()
        if refused is not None:
            raise refused
        token = f"{cache['sign_in']}, token {cache['refresh'] + 1}"
        expires = self._clock().timestamp() + LIFE.total_seconds()
        newer = {**cache, "refresh": cache["refresh"] + 1, "token": token, "expires": expires, "claims": claims}
        return token, LIFE.total_seconds(), json.dumps(newer)


class ScriptedStage:
    """Sealed blobs and a script: each `tokens()` is a worker of its own."""

    def __init__(self, container: Container) -> None:
        self.clock = FakeClock()
        self.entra = ScriptedEntra(self.clock)
        self.container = container

    def tokens(self, *keys: bytes) -> SealedTokens:
        """Another worker, with these keys (newest first)."""
        return SealedTokens(self.entra, AesGcmSealing(keys or (KEY,)), self.container, self.clock)

    async def stored(self, key: bytes = KEY, connection_id: str = "con_1") -> dict[str, Any]:
        """The token cache as it is stored, sealed with this key."""
        found = await self.container.get(connection_id)
        assert found is not None
        sealed = found[0].decode()
        assert sealed.startswith(key_id(key) + ".")
        opened = AesGcmSealing([key]).unseal(sealed, "acme", connection_id, "token_cache")
        cache: dict[str, Any] = json.loads(opened)
        return cache

    async def leased(self) -> str:
        """Hold the stored sign-in, as a worker does that refreshes it or has died over it."""
        found = await self.container.get("con_1")
        assert found is not None
        lease = await self.container.lease("con_1", version=found[1], seconds=60)
        assert lease is not None
        return lease
