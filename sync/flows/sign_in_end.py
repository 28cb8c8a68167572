"""How a user's last sign-in ended where it made no connection, as the settings page and the CRM are shown it."""

from dataclasses import dataclass, replace

from sync.domain.sign_in import LastOutcome, LastSignIn, SignIn, SignInEnd
from sync.flows.ports import Clock, Entra, SignIns


@dataclass(frozen=True)
class SignInEnds:
    """The last one of each user."""

    sign_ins: SignIns
    entra: Entra
    clock: Clock

    async def keep(self, sign_in: SignIn, outcome: LastOutcome) -> None:
        """This sign-in came to nothing."""
        last = LastSignIn(sign_in.account_id, sign_in.user_id, sign_in.sign_in_id, outcome, self.clock())
        await self.sign_ins.keep_last(last)

    async def forget(self, account_id: str, user_id: str) -> None:
        """The user has connected since."""
        await self.sign_ins.forget_last(account_id, user_id)

    async def show(self, account_id: str, user_id: str) -> SignInEnd | None:
        """The user's last one, as long as it is of interest."""
        last = await self.sign_ins.last(account_id, user_id)
        if last is None or not last.to_be_shown(self.clock()):
            return None
        waits = last.outcome == "admin_consent_required"
        return SignInEnd(last.outcome, last.at, self.entra.admin_consent_url(last.sign_in_id) if waits else "")

    async def approved(self, sign_in_id: str) -> None:
        """
        An administrator has approved the app, on the link that this sign-in was answered with: its user can connect now.

        Also where that user has tried again since: it is the app that is approved. Microsoft's redirect is no proof, and none is
        needed: whoever makes it up changes a line on one user's page.
        """
        sign_in = await self.sign_ins.get(sign_in_id) if sign_in_id.isalnum() and sign_in_id.isascii() else None
        last = await self.sign_ins.last(sign_in.account_id, sign_in.user_id) if sign_in else None
        if last is not None and last.outcome == "admin_consent_required":
            await self.sign_ins.keep_last(replace(last, outcome="admin_consented", at=self.clock()))
