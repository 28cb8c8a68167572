"""
The page "Email (2-way sync)": what it shows and what a person can do there.

Everything is for the one user whom the CRM's backend asked the link for. The page begins a sign-in, but only the CRM's backend
completes one, for whoever is signed in to the CRM in the browser that comes back.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.domain import settings_page as rule
from sync.domain import sign_in as sign_in_rule
from sync.domain.connection import DefaultSender, State
from sync.domain.errors import NotFound
from sync.domain.settings_page import View, Visit
from sync.domain.sign_in import SignIn
from sync.flows.connect import Connect
from sync.flows.default_sender import choose
from sync.flows.disconnect import Disconnect
from sync.flows.ports import Clock, Connections
from sync.flows.sign_in_end import SignInEnds


@dataclass(frozen=True)
class SettingsPage:
    """The page of one user at a time."""

    connections: Connections
    connect: Connect
    ends: SignInEnds
    disconnect: Disconnect
    clock: Clock
    signing_keys: Sequence[bytes]
    public_base_url: str
    allowed_return_origins: tuple[str, ...]

    def link(self, account_id: str, user_id: str, return_url: str) -> tuple[str, datetime]:
        """The CRM asks for the page: its address, and until when that opens it."""
        sign_in_rule.check_return_url(return_url, self.allowed_return_origins)
        expires_at = self.clock() + rule.LINK_LIFETIME
        token = rule.issue(Visit(account_id, user_id, return_url), expires_at, self.signing_keys[0])
        return f"{self.public_base_url}/settings/email#token={token}", expires_at

    def visit(self, token: str) -> Visit:
        """Who opened the page; raises SettingsPageExpired."""
        return rule.read(token, self.signing_keys, self.clock())

    async def view(self, visit: Visit) -> View:
        """What there is to show now."""
        connection = await self.connections.of_user(visit.account_id, visit.user_id)
        return View(connection, await self.ends.show(visit.account_id, visit.user_id), self.clock())

    async def sign_in(self, visit: Visit) -> tuple[str, SignIn]:
        """A link to sign in with: to connect, to sign in again, or with another mailbox."""
        connection = await self.connections.of_user(visit.account_id, visit.user_id)
        again = connection is not None and connection.state is State.NEEDS_RECONNECT
        return await self.connect.begin(
            visit.account_id,
            visit.user_id,
            visit.return_url,
            login_hint=connection.mailbox.email if connection is not None and again else "",
        )

    async def choose_default_sender(self, visit: Visit, default_sender: str) -> View:
        """Through which door the user's individual emails go from now on."""
        await choose(self.connections, visit.account_id, visit.user_id, DefaultSender(default_sender))
        return await self.view(visit)

    async def delete(self, visit: Visit) -> View:
        """End the connection; where there is none, that is as asked."""
        with contextlib.suppress(NotFound):
            await self.disconnect.delete(visit.account_id, visit.user_id)
        return await self.view(visit)
