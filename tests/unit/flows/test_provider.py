"""Setting an account's provider: only what works is stored, and what does not is told with what to do."""

from datetime import timedelta
from typing import Any

import pytest

from sync.domain.errors import Declined, NotFound, OperatorAlarm, OutsideError, ProviderCheckFailed, Throttled, Unclear
from sync.domain.mail import Address
from sync.domain.provider import Provider
from sync.flows.provider import ProviderSettings
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults
from tests.fakes.providers import FakeProviders
from tests.fakes.smtp import FakeSmtp


class Stand:
    """The flow between its fakes."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.clock = FakeClock()
        self.smtp = FakeSmtp(self.faults)
        self.providers = FakeProviders(self.faults)
        self.flow = ProviderSettings(self.providers, self.smtp, self.clock)


@pytest.fixture
def stand() -> Stand:
    return Stand()


def provider(**changes: Any) -> Provider:
    """A provider as the CRM gives it."""
    given = {"account_id": "acme", "host": "smtp.example", "username": "u", "password": "hunter2"} | changes
    return Provider(port=587, security="starttls", sender=Address("offers@crm.example"), **given)


async def test_a_provider_is_checked_and_stored(stand: Stand) -> None:
    """With the time of the check; nothing is sent."""
    stored = await stand.flow.put(provider())
    assert stored == await stand.flow.get("acme")
    assert stored.checked_at == stand.clock()
    assert (stand.faults.calls[:2], stand.smtp.outgoing) == (["smtp.check", "providers.save"], [])
    with pytest.raises(NotFound):
        await stand.flow.get("other")


async def test_another_provider_takes_its_place(stand: Stand) -> None:
    """Whole: nothing of the one before is kept, not even the login."""
    await stand.flow.put(provider())
    await stand.flow.put(provider(host="other.example", username="", password=""))
    found = await stand.flow.get("acme")
    assert (found.host, found.username, found.password) == ("other.example", "", "")


async def test_a_provider_is_removed(stand: Stand) -> None:
    """Again it is no error."""
    await stand.flow.put(provider())
    for _ in range(2):
        await stand.flow.delete("acme")
        with pytest.raises(NotFound):
            await stand.flow.get("acme")


def at[E: OutsideError](stage: str, error: E) -> E:
    """An error that happened so far on the way."""
    error.stage = stage
    return error


NO = Declined("535 5.7.8 Bad credentials", code="smtp_535", status=535)


@pytest.mark.parametrize(
    ("failure", "reply", "words"),
    [
        (at("login", NO), "535 5.7.8 Bad credentials", ["said: 535 5.7.8 Bad credentials.", "username and password"]),
        (
            at("server", Throttled("421 4.3.2 Busy", retry_after=timedelta())),
            "421 4.3.2 Busy",
            ["said: 421 4.3.2 Busy.", "Try again later."],
        ),
        (at("address", Declined("No.", code="provider_address_not_allowed", status=0)), None, ["No. Check host"]),
        (at("address", Unclear("No server was found by the name x.")), None, ["by the name x. Check host"]),
        (at("connect", Unclear("x did not answer.")), None, ["x did not answer. ", "587", "465"]),
        (at("tls", Unclear("Certificate.")), None, ["Certificate. ", "host the name in its certificate"]),
        (at("login", Declined("No login.", code="provider_login_not_offered", status=0)), None, ["No login. "]),
        (at("server", Unclear("Broke off.")), None, ["Broke off. "]),
        (Unclear("Who knows."), None, ["Who knows. "]),
    ],
)
async def test_what_does_not_work_is_told_and_not_stored(
    stand: Stand, failure: OutsideError, reply: str | None, words: list[str]
) -> None:
    """How far it came, the server's own words where it spoke, and what to do; what was there stays."""
    before = await stand.flow.put(provider())
    stand.faults.fail("smtp.check", failure)
    with pytest.raises(ProviderCheckFailed) as refused:
        await stand.flow.put(provider(host="other.example"))
    assert refused.value.extra == {"stage": failure.stage or "server", "server_reply": reply}
    assert all(each in refused.value.detail for each in words)
    assert refused.value.detail.endswith(" Nothing was stored.")
    assert ".." not in refused.value.detail
    assert "hunter2" not in refused.value.detail
    assert await stand.flow.get("acme") == before


async def test_a_password_that_can_t_be_opened_is_the_operators(stand: Stand) -> None:
    """Showing raises the alarm; setting it anew mends it."""
    await stand.flow.put(provider())
    stand.faults.fail("providers.of_account", OperatorAlarm())
    with pytest.raises(OperatorAlarm):
        await stand.flow.get("acme")
    assert (await stand.flow.put(provider())).host == "smtp.example"
