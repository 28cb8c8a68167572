"""How the lab's CRM keeps up with the app: by the feed, reading again only what may have changed."""

from typing import Any, cast

import httpx
import pytest

from tests.cloud.crm_api import CrmApi
from tests.cloud.lab.contoso import CONTACTS, Contoso, NewEmail
from tests.cloud.lab.refusal import Refusal

type Json = dict[str, Any]


class App:
    """The app's answers, as a test arranges them. `read`: the threads that were read whole, in order."""

    def __init__(self) -> None:
        self.events_told: list[Json] = []
        self.headers: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.gone: set[str] = set()
        self.down = False
        self.read: list[str] = []

    def has(self, thread_id: str, status: str = "sent") -> None:
        """A thread with one message."""
        self.headers[thread_id] = {"thread_id": thread_id, "state": "active"}
        self.messages[thread_id] = [{"message_id": f"msg_{thread_id}", "status": status}]

    def tells(self, data: Json) -> None:
        """One more event."""
        self.events_told.append({"sequence": len(self.events_told) + 1, "type": "any", "data": data})

    async def events(self, after: int, limit: int) -> httpx.Response:
        found = [event for event in self.events_told if event["sequence"] > after]
        return _answer({"events": found[:limit], "has_more": len(found) > limit})

    async def threads(self, **query: str) -> httpx.Response:
        """Pages of two."""
        ids = list(self.headers)
        start = ids.index(query["after"]) + 1 if "after" in query else 0
        page = ids[start : start + 2]
        more = len(ids) > start + 2
        return _answer({"threads": [self.headers[i] for i in page], "next_after": page[-1] if more else None})

    async def thread(self, thread_id: str) -> httpx.Response:
        self.read.append(thread_id)
        if self.down:
            return httpx.Response(503, json={"detail": "Try again later.", "code": "unavailable"})
        if thread_id in self.gone:
            return httpx.Response(404, json={"detail": "There is nothing here by that id."})
        return _answer(self.headers[thread_id] | {"messages": list(self.messages[thread_id])})

    async def connection(self, _user_id: str) -> httpx.Response:
        return httpx.Response(404)

    async def send(self, mail: Json, _key: str) -> httpx.Response:
        self.messages[mail["thread_id"]].append({"message_id": "msg_new", "status": "sent"})
        return httpx.Response(202, json={"messages": [{"thread_id": mail["thread_id"]}]})


def _answer(value: Json) -> httpx.Response:
    return httpx.Response(200, json=value)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def contoso(app: App) -> Contoso:
    return Contoso(cast("CrmApi", app))


async def test_a_thread_is_read_once_and_again_when_an_event_names_it(app: App, contoso: Contoso) -> None:
    """However many threads there are, in however many pages: what nobody spoke of is not asked for."""
    for thread_id in ("a", "b", "c"):
        app.has(thread_id)
    assert list((await contoso.look()).threads) == ["a", "b", "c"]
    await contoso.look()
    assert sorted(app.read) == ["a", "b", "c"]

    app.read.clear()
    app.tells({"message": {"thread_id": "b"}})
    await contoso.look()
    assert app.read == ["b"]


async def test_what_the_list_shows_changed_is_read_again(app: App, contoso: Contoso) -> None:
    """A thread that was stopped says so in the list, whether or not an event came."""
    app.has("a")
    await contoso.look()

    app.headers["a"] = app.headers["a"] | {"state": "stopped"}

    assert (await contoso.look()).threads["a"]["state"] == "stopped"


async def test_a_message_under_way_is_looked_at_until_it_has_left(app: App, contoso: Contoso) -> None:
    """From queued to sending no event comes."""
    app.has("a", status="queued")
    await contoso.look()

    app.messages["a"] = [{"message_id": "msg_a", "status": "sending"}]
    assert (await contoso.look()).threads["a"]["messages"][0]["status"] == "sending"
    app.messages["a"] = [{"message_id": "msg_a", "status": "sent"}]
    await contoso.look()
    app.read.clear()
    await contoso.look()
    assert app.read == []


async def test_an_answer_of_ones_own_is_there_at_once(app: App, contoso: Contoso) -> None:
    """What the CRM sends into a thread it does not wait to be told of."""
    app.has("a")
    await contoso.look()

    await contoso.send(NewEmail("dana", CONTACTS[:1], "Re: Offer", "<p>Hi</p>", thread_id="a"), "key-1")

    assert [m["message_id"] for m in (await contoso.look()).threads["a"]["messages"]] == ["msg_a", "msg_new"]


async def test_news_of_a_connection_concerns_every_thread(app: App, contoso: Contoso) -> None:
    """It may have stopped or erased them; one that is gone is not shown any more, listed or not."""
    for thread_id in ("a", "b"):
        app.has(thread_id)
    await contoso.look()
    app.read.clear()

    app.tells({"connection": {"connection_id": "con_1"}})
    del app.headers["a"]
    assert list((await contoso.look()).threads) == ["b"]
    assert app.read == ["b"]

    app.gone.add("b")
    app.tells({"erased": True})
    assert "msg_b" in str(
        (await contoso.look()).threads
    )  # listed, and erased before it was read: kept until the list says so
    del app.headers["b"]
    assert (await contoso.look()).threads == {}


async def test_what_could_not_be_read_is_read_the_next_time(app: App, contoso: Contoso) -> None:
    """The app's own words reach whoever looked, and the news is not lost."""
    app.has("a")
    await contoso.look()
    app.tells({"message": {"thread_id": "a"}})
    app.messages["a"].append({"message_id": "msg_2", "status": "synced"})

    app.down = True
    with pytest.raises(Refusal, match="Try again later") as refused:
        await contoso.look()
    assert (refused.value.status, refused.value.more["code"]) == (503, "unavailable")
    app.down = False

    assert len((await contoso.look()).threads["a"]["messages"]) == 2


async def test_a_long_feed_is_followed_to_its_end(app: App, contoso: Contoso) -> None:
    """Page after page, each event once, also over several looks."""
    for _ in range(250):
        app.tells({"message": {"thread_id": "a"}})
    assert [e["sequence"] for e in (await contoso.look()).events] == list(range(1, 251))

    app.tells({"message": {"thread_id": "a"}})

    assert [e["sequence"] for e in (await contoso.look()).events] == list(range(1, 252))
