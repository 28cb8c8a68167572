"""
Connecting a mailbox: link, callback, completion; also with another mailbox than before, which then takes its place.

Nothing is asked of Microsoft's token endpoint before link, browser, state and the CRM's user are known to fit.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import connection as connection_rule
from sync.domain import sign_in as rule
from sync.domain.connection import Connection, DefaultSender, Mailbox, State
from sync.domain.errors import (
    CompletionCodeExpired,
    CompletionInProgress,
    Conflict,
    Declined,
    Gone,
    OperatorAlarm,
    OutsideError,
    ReconnectNeeded,
    SignInFailed,
    SignInLinkUnusable,
    WrongMailbox,
)
from sync.domain.event import connection_event
from sync.domain.sign_in import Grant, SignIn, Step
from sync.flows.deliver import tell
from sync.flows.disconnect import Disconnect
from sync.flows.ports import (
    Clock,
    Connections,
    Entra,
    Journal,
    Mail,
    NewSecret,
    Sealing,
    SignIns,
    Tokens,
    Work,
)
from sync.flows.sign_in_end import SignInEnds
from sync.jobs import WatchMailbox

#: Without these the sync can't work; the user may untick none of them.
REQUIRED_SCOPES = frozenset(("mail.readwrite", "mail.send"))


@dataclass(frozen=True)
class Redirect:
    """Where the browser goes, and the binding secret for its cookie (empty: the cookie is cleared)."""

    location: str
    binding: str = ""


@dataclass(frozen=True)
class Connect:
    """Sign-ins and the connections they make."""

    sign_ins: SignIns
    ends: SignInEnds
    connections: Connections
    journal: Journal
    work: Work
    entra: Entra
    tokens: Tokens
    mail: Mail
    disconnect: Disconnect
    sealing: Sealing
    clock: Clock
    new_secret: NewSecret
    public_base_url: str
    allowed_return_origins: tuple[str, ...]

    async def begin(
        self, account_id: str, user_id: str, return_url: str, *, expected_email: str = "", login_hint: str = ""
    ) -> tuple[str, SignIn]:
        """
        A link is asked for. Returns it with the sign-in it opens.

        Args:
            expected_email: only this mailbox will be connected; empty: any.

            login_hint: who will probably sign in; anybody else may.
        """
        rule.check_return_url(return_url, self.allowed_return_origins)
        sign_in_id = _new_id(self.new_secret)
        token = f"{sign_in_id}.{self.new_secret()}"
        sign_in = SignIn(
            sign_in_id=sign_in_id,
            account_id=account_id,
            user_id=user_id,
            return_url=return_url,
            expected_email=expected_email,
            login_hint=expected_email or login_hint,
            step=Step.NEW,
            expires_at=self.clock() + rule.LINK_LIFETIME,
            token_hash=rule.fingerprint(token),
        )
        return f"{self.public_base_url}/connect/{token}", await self.sign_ins.save(sign_in)

    async def open_link(self, token: str) -> Redirect:
        """A browser opens the link: bind it to this browser and send it to Microsoft."""
        sign_in = rule.check_open(await self._stored(token), token, self.clock())
        binding = self.new_secret()
        state = f"{sign_in.sign_in_id}.{self.new_secret()}"
        # What Microsoft wanted when it refused the stored sign-in, this one has to bring.
        current = await self.connections.of_user(sign_in.account_id, sign_in.user_id)
        claims = current.claims if current is not None else ""
        url, flow = await self.entra.begin(state=state, login_hint=sign_in.login_hint, claims=claims)
        sealed = self.sealing.seal(flow, *_place(sign_in, "flow"))
        opened = replace(sign_in, step=Step.OPENED, binding_hash=rule.fingerprint(binding), sealed_flow=sealed)
        try:
            await self.sign_ins.save(opened)
        except Conflict as conflict:
            raise SignInLinkUnusable from conflict
        return Redirect(url, binding)

    async def park(self, answer: Mapping[str, str], binding: str) -> Redirect:
        """Microsoft sends the browser back: keep the unredeemed code, or the reason why there is none."""
        state = answer.get("state", "")
        sign_in = rule.check_callback(await self._stored(state), binding)
        flow = self.sealing.unseal(sign_in.sealed_flow, *_place(sign_in, "flow"))
        if json.loads(flow)["state"] != state:
            raise SignInLinkUnusable
        if self.clock() >= sign_in.expires_at:
            return await self._end(sign_in, "expired")
        if "code" not in answer:
            return await self._end(sign_in, rule.refused_because(answer))
        completion = f"{sign_in.sign_in_id}.{self.new_secret()}"
        parked = replace(
            sign_in,
            step=Step.PARKED,
            binding_hash="",
            completion_hash=rule.fingerprint(completion),
            sealed_code=self.sealing.seal(json.dumps(dict(answer)), *_place(sign_in, "code")),
            expires_at=self.clock() + rule.COMPLETION_LIFETIME,
        )
        await self._save_once(parked)
        return Redirect(rule.with_result(sign_in.return_url, result="ok", completion_code=completion))

    async def complete(self, account_id: str, user_id: str, completion_code: str) -> Connection:
        """The CRM says which of its users came back: redeem the code and connect. A repeated call gets the same connection."""
        now = self.clock()
        sign_in = rule.check_completion(await self._stored(completion_code), account_id, user_id, completion_code, now)
        if sign_in.step is Step.REDEEMED:
            connection = await self.connections.of_user(account_id, user_id)
            if connection is None or connection.connection_id != sign_in.connection_id:
                raise CompletionCodeExpired
            return connection
        if sign_in.step is not Step.PARKED:
            raise CompletionInProgress
        try:
            sign_in = await self.sign_ins.save(replace(sign_in, step=Step.REDEEMING))
        except Conflict as conflict:
            raise CompletionInProgress from conflict
        try:
            grant, mailbox = await self._redeem(sign_in)
            connection = await self._take_over(account_id, user_id, mailbox, grant)
        except (SignInFailed, WrongMailbox) as refused:
            await self.ends.keep(sign_in, "wrong_mailbox" if isinstance(refused, WrongMailbox) else "failed")
            await self.sign_ins.save(replace(sign_in, step=Step.ENDED, sealed_code="", sealed_flow=""))
            raise
        except (OutsideError, OperatorAlarm):
            # Microsoft was not there, or did not know us: the code may still be good, so the CRM may call again.
            await self.sign_ins.save(replace(sign_in, step=Step.PARKED))
            raise
        redeemed = replace(
            sign_in, step=Step.REDEEMED, sealed_code="", sealed_flow="", connection_id=connection.connection_id
        )
        with contextlib.suppress(Conflict):  # the user's earlier data was erased meanwhile, and all sign-ins with it
            await self.sign_ins.save(redeemed)
        await self.ends.forget(account_id, user_id)
        return connection

    async def _stored(self, handle: str) -> SignIn | None:
        sign_in_id = rule.sign_in_id_of(handle)
        return await self.sign_ins.get(sign_in_id) if sign_in_id else None

    async def _save_once(self, sign_in: SignIn) -> None:
        try:
            await self.sign_ins.save(sign_in)
        except Conflict as conflict:
            raise SignInLinkUnusable(
                "This sign-in has ended already. Go back to the CRM and click Connect again."
            ) from conflict

    async def _end(self, sign_in: SignIn, outcome: rule.Outcome) -> Redirect:
        await self.ends.keep(sign_in, outcome)
        await self._save_once(replace(sign_in, step=Step.ENDED, sealed_flow="", sealed_code="", binding_hash=""))
        result: dict[str, str] = {"result": outcome}
        if outcome == "admin_consent_required":
            result["admin_consent_url"] = self.entra.admin_consent_url(sign_in.sign_in_id)
        return Redirect(rule.with_result(sign_in.return_url, **result))

    async def _redeem(self, sign_in: SignIn) -> tuple[Grant, Mailbox]:
        flow = self.sealing.unseal(sign_in.sealed_flow, *_place(sign_in, "flow"))
        answer = json.loads(self.sealing.unseal(sign_in.sealed_code, *_place(sign_in, "code")))
        try:
            grant = await self.entra.redeem(flow, answer)
        except Declined as declined:
            raise SignInFailed from declined
        if not grant.scopes >= REQUIRED_SCOPES:
            raise SignInFailed(
                "The permissions to read and send mail were not granted. Nothing was connected; start a new sign-in."
            )
        try:
            owner = await self.mail.owner(grant.access_token)
        except (Declined, Gone, ReconnectNeeded) as refused:
            # Found now rather than when the mailbox is watched: on Update, the old connection goes on.
            raise SignInFailed(
                "This account has no Outlook mailbox that can be used. Nothing was connected."
            ) from refused
        mailbox = replace(
            owner,
            tenant_id=grant.tenant_id,
            object_id=grant.object_id,
            home_account_id=grant.home_account_id,
            email=owner.email or grant.user_name,
            display_name=owner.display_name or grant.display_name,
        )
        expected = sign_in.expected_email.strip().casefold()
        if expected and expected not in mailbox.own_addresses | {grant.user_name.casefold()}:
            raise WrongMailbox
        return grant, mailbox

    async def _take_over(self, account_id: str, user_id: str, mailbox: Mailbox, grant: Grant) -> Connection:
        """Make this sign-in the user's current connection, in one write that everybody sees."""
        while True:
            current = await self.connections.of_user(account_id, user_id)
            same = current is not None and current.live and current.mailbox.identity == mailbox.identity
            if current is not None and same:
                connection = connection_rule.renewed(current, mailbox)
            else:
                connection = Connection(
                    connection_id="con_" + _new_id(self.new_secret),
                    account_id=account_id,
                    user_id=user_id,
                    mailbox=mailbox,
                    state=State.CONNECTING,
                    connected_at=self.clock(),
                    default_sender=current.default_sender if current and current.live else DefaultSender.OUTLOOK,
                    previous=(current.connection_id, current.mailbox.email) if current and current.live else None,
                    version=current.version if current else None,
                )
                await self.connections.introduce(connection)
                if current is not None:
                    await self.connections.retire(replace(current, ended_at=current.ended_at or self.clock()))
                    await self.disconnect.see_to(current)
            await self.disconnect.see_to(connection)
            await self.tokens.keep(connection, grant.token_cache)
            try:
                connection = await self.connections.save(connection)
                break
            except Conflict:
                if not same:
                    await self.tokens.destroy(connection)
        if current is not None and current.live and not same:
            await tell_update(self.journal, self.work, connection, self.clock())
            await self.disconnect.close(connection_rule.disconnected(current, self.clock()))
        await self.work.promise(WatchMailbox(connection.connection_id), due_at=self.clock() + timedelta(minutes=1))
        return connection


async def tell_update(journal: Journal, work: Work, connection: Connection, now: datetime) -> None:
    """Tell that this connection took another's place, if it did. Safe to repeat."""
    if connection.previous is not None:
        previous_id, previous_email = connection.previous
        names = {"previous_connection_id": previous_id, "previous_email": previous_email}
        await tell(journal, work, connection_event("connection.updated", connection, "updated", now, **names), now)


def _new_id(new_secret: NewSecret) -> str:
    return "".join(c for c in new_secret() if c.isalnum())[:24].lower()


def _place(sign_in: SignIn, column: str) -> tuple[str, ...]:
    return (sign_in.account_id, sign_in.sign_in_id, column)
