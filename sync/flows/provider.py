"""
The account's own email provider: set once its server has taken our connection and login, shown, removed.

What does not work is not stored, and the refusal says how far we came, what the server said, and what to do.
"""

from dataclasses import replace

from sync.domain.errors import Declined, NotFound, OutsideError, ProviderCheckFailed, Throttled
from sync.domain.provider import Provider
from sync.flows.ports import Clock, Providers, Smtp

#: What to do, by how far we came.
_ADVICE = {
    "address": "Check host: a mail server that can be reached from the internet.",
    "connect": "Check host and port, and that security fits the port: mostly starttls on 587, tls on 465.",
    "tls": "Check that security fits the port (mostly starttls on 587, tls on 465), and host the name in its certificate.",
    "login": "Check username and password; some providers want a password made for apps, or SMTP login switched on.",
    "server": "Ask the provider what its answer means.",
}


class ProviderSettings:
    """Sets, shows and removes an account's provider."""

    def __init__(self, providers: Providers, smtp: Smtp, clock: Clock) -> None:
        self._providers = providers
        self._smtp = smtp
        self._clock = clock

    async def put(self, provider: Provider) -> Provider:
        """Check it, then store it in the place of what was there; raises ProviderCheckFailed, and nothing is stored."""
        try:
            await self._smtp.check(provider)
        except OutsideError as failure:
            raise _refused(failure) from failure
        return await self._providers.save(replace(provider, checked_at=self._clock()))

    async def get(self, account_id: str) -> Provider:
        """The account's provider; raises NotFound."""
        provider = await self._providers.of_account(account_id)
        if provider is None:
            raise NotFound
        return provider

    async def delete(self, account_id: str) -> None:
        """The account has no provider any more; no error where it had none."""
        await self._providers.remove(account_id)


def _refused(failure: OutsideError) -> ProviderCheckFailed:
    spoken = isinstance(failure, Throttled) or (isinstance(failure, Declined) and failure.code.startswith("smtp_"))
    said = f"The provider's server said: {failure.detail}" if spoken else failure.detail
    advice = _ADVICE.get(failure.stage, _ADVICE["server"])
    if isinstance(failure, Throttled):
        advice = "Try again later."
    return ProviderCheckFailed(
        f"{said.removesuffix('.')}. {advice} Nothing was stored.",
        stage=failure.stage or "server",
        server_reply=failure.detail if spoken else None,
    )
