"""The checks of the status: each by itself, none held up or hidden by another, and not at each look."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sync.domain.check import KEPT_FOR, Answered
from sync.domain.errors import OperatorAlarm, Unclear
from sync.domain.event import Answer
from sync.flows.checks import Checks
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import World

APP, GRAPH = "https://app.example", "https://graph.example/v1.0"


@dataclass
class FakeWeb:
    """Keeps `flows.ports.Web`: Graph refuses whoever has no token; our own address answers as it should."""

    answers: dict[str, Answered | Exception | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def ask(self, method: str, url: str) -> Answered:
        root, _, token = url.partition("?validationToken=")
        self.asked.append(f"{method} {root}")
        if root not in self.answers:
            return Answered(200, token) if token else Answered(401, "")
        answer = self.answers[root]
        if answer is None:
            await asyncio.Event().wait()  # for ever
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


@pytest.fixture
def web() -> FakeWeb:
    return FakeWeb()


@pytest.fixture
def checks(world: World, web: FakeWeb) -> Checks:
    return Checks(
        work=world.work,
        content=world.content,
        connections=world.connections,
        entra=world.entra,
        web=web,
        endpoint=world.endpoint,
        certificate=None,
        clock=world.clock,
        new_secret=lambda: "token",
        unresolved=(),
        graph_base_url=GRAPH,
        public_base_url=APP,
    )


async def outcome(checks: Checks) -> dict[str, bool | None]:
    return {check.name: check.ok for check in await checks.all()}


WELL = {
    "storage": True,
    "key_vault": True,
    "entra_credential": True,
    "graph": True,
    "notification_address": True,
    "notification_certificate": True,
    "crm_webhook": True,
}


async def test_all_is_well(world: World, checks: Checks, web: FakeWeb) -> None:
    """In a fixed order; the CRM got one event, of no account, in no feed."""
    await world.connected(DANA)
    await world.settle()
    heard = len(world.crm.heard)
    assert list((await outcome(checks)).items()) == list(WELL.items())
    assert sorted(web.asked) == [f"GET {GRAPH}/me", f"POST {APP}/graph/notifications"]
    assert [event.type for event in world.crm.heard[heard:]] == ["webhook.test"]


async def test_before_the_first_mailbox(checks: Checks) -> None:
    """A new deployment: only the app's secret can't be tried yet."""
    assert await outcome(checks) == WELL | {"entra_credential": None}


TROUBLES = {
    "storage": ("connections.by_id", "work.waiting", "content.file"),
    "entra_credential": ("entra.try_credential",),
}


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in TROUBLES.items() for call in calls])
@pytest.mark.parametrize("error", [OperatorAlarm("secret refused"), Unclear("no answer"), KeyError("whatever")])
async def test_one_that_fails_is_told_and_the_others_go_on(
    world: World, checks: Checks, name: str, call: str, error: Exception
) -> None:
    """Whatever it raises, foreseen or not."""
    await world.connected(DANA)
    await world.settle()
    world.faults.fail(call, error, times=1)
    assert await outcome(checks) == WELL | {name: False}


@pytest.mark.parametrize(
    ("url", "answer", "name"),
    [
        (f"{GRAPH}/me", Answered(503, ""), "graph"),
        (f"{GRAPH}/me", ConnectionError("refused"), "graph"),
        (f"{APP}/graph/notifications", Answered(404, "Not Found"), "notification_address"),
        (f"{APP}/graph/notifications", Answered(200, "<html>Sign in</html>"), "notification_address"),
    ],
)
async def test_an_address_that_is_not_what_it_should_be(
    checks: Checks, web: FakeWeb, url: str, answer: Answered | Exception, name: str
) -> None:
    """It is told as what it is, and the others stay well."""
    web.answers[url] = answer
    assert await outcome(checks) == WELL | {"entra_credential": None, name: False}


async def test_an_address_that_never_answers_holds_up_nobody(
    checks: Checks, web: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its patience it counts as not there."""
    monkeypatch.setattr("sync.domain.check.PATIENCE", timedelta(milliseconds=10))
    web.answers[f"{GRAPH}/me"] = None
    assert (await outcome(checks))["graph"] is False


@pytest.mark.parametrize("answer", [Answer(500, 0.1), Answer(None, 15.0, "ReadTimeout"), Answer(410, 0.1)])
async def test_a_receiver_that_does_not_take_events(world: World, checks: Checks, answer: Answer) -> None:
    """It is told, and the test leaves nothing behind: deliveries are not switched off for it."""
    world.crm.answers.append(answer)
    assert await outcome(checks) == WELL | {"entra_credential": None, "crm_webhook": False}
    assert (await world.endpoint.fresh()).state == "on"


async def test_what_was_seen_is_shown_again_for_a_minute(world: World, checks: Checks, web: FakeWeb) -> None:
    """Whoever looks each second does not flood the CRM; many who look at once look once."""
    await asyncio.gather(*(checks.all() for _ in range(10)))
    world.clock.advance(KEPT_FOR - timedelta(seconds=1))
    await checks.all()
    assert len(web.asked) == 2
    world.clock.advance(timedelta(seconds=1))
    await checks.all()
    assert len(web.asked) == 4
