"""Delta queries and batches."""

from typing import Any

import pytest

from tests.integration.graph_emulator.conftest import IMMUTABLE, Cloud

INBOX = "/me/mailFolders/inbox/messages/delta?$select=subject"


async def sync(cloud: Cloud, place: str, **options: Any) -> tuple[list[dict[str, Any]], str]:
    """Read a whole round: its entries and the delta link."""
    entries: list[dict[str, Any]] = []
    while True:
        page = await cloud.dana.get(place, **options)
        entries += page["value"]
        if "@odata.deltaLink" in page:
            return entries, page["@odata.deltaLink"]
        place = page["@odata.nextLink"]


async def test_rounds(cloud: Cloud) -> None:
    """The first round tells everything in pages, later ones what came, changed or left, in the first one's id format."""
    ids = [(await cloud.arrives(subject=f"n{n}"))["id"] for n in range(5)]
    pages = {"Prefer": 'odata.maxpagesize=2, IdType="ImmutableId"'}
    page = await cloud.dana.get(INBOX, headers=pages)
    assert len(page["value"]) == 2
    first, link = await sync(cloud, INBOX, headers=pages)
    assert {entry["id"] for entry in first} == set(ids)
    assert set(first[0]) == {"@odata.type", "@odata.etag", "id", "subject"}
    assert (await sync(cloud, link))[0] == []
    await cloud.dana.call("PATCH", f"/me/messages/{ids[0]}", 200, json={"isRead": True})
    await cloud.dana.call("DELETE", f"/me/messages/{ids[1]}", 204)
    new = (await cloud.arrives(subject="new"))["id"]
    entries, link = await sync(cloud, link)
    assert {entry["id"]: entry.get("@removed", {}).get("reason") for entry in entries} == {
        ids[0]: None,
        ids[1]: "deleted",
        new: None,
    }
    assert (await sync(cloud, link))[0] == []


async def test_change_types_and_dates(cloud: Cloud) -> None:
    """`changeType=created` leaves out what only changed; a date keeps out what is older."""
    old = (await cloud.arrives(subject="old"))["id"]
    cloud.clock.advance(1800)
    new = await cloud.dana.get(f"/me/messages/{(await cloud.arrives(subject='new'))['id']}")
    query = f"&$filter=receivedDateTime ge {new['receivedDateTime']}&changeType=created"
    entries, link = await sync(cloud, INBOX + query)
    assert [entry["subject"] for entry in entries] == ["new"]
    for message_id in (old, new["id"]):
        await cloud.dana.call("PATCH", f"/me/messages/{message_id}", 200, json={"isRead": True})
    await cloud.arrives(subject="newer")
    assert [entry["subject"] for entry in (await sync(cloud, link))[0]] == ["newer"]


@pytest.mark.parametrize(
    "query",
    [
        "&$filter=isRead eq true",
        "&$filter=receivedDateTime lt 2030-01-01",
        "&$orderby=subject",
        "&$skip=1",
        "&changeType=moved",
        "&$deltatoken=x",
    ],
)
async def test_refused_delta_queries(cloud: Cloud, query: str) -> None:
    """Delta takes fewer options than a list, and the rest is a 400."""
    assert (await cloud.dana.error("GET", INBOX + query))[0] == 400


@pytest.mark.parametrize("misses", [False, True])
async def test_moved_away_and_back(cloud: Cloud, misses: bool) -> None:
    """An item that left and came back is told again, or with the reported defect only as removed, until it changes."""
    await cloud.lab("POST", "/switches", json={"delta_misses_items_moved_back": misses})
    message_id = (await cloud.arrives())["id"]
    _, link = await sync(cloud, INBOX, headers=IMMUTABLE)
    for folder in ("archive", "inbox"):
        await cloud.dana.call("POST", f"/me/messages/{message_id}/move", 201, json={"destinationId": folder})
    entries, link = await sync(cloud, link)
    assert [("@removed" in entry, entry["id"]) for entry in entries] == [(misses, message_id)]
    await cloud.dana.call("PATCH", f"/me/messages/{message_id}", 200, json={"isRead": True})
    assert [entry["id"] for entry in (await sync(cloud, link))[0]] == [message_id]


async def test_links_that_are_gone(cloud: Cloud) -> None:
    """A delta link can be gone (410, with where to begin again), at once or when newer ones were given."""
    _, first = await sync(cloud, INBOX)
    await cloud.lab("POST", "/switches", json={"delta_generations_kept": 1})
    _, second = await sync(cloud, first)
    _, third = await sync(cloud, second)
    assert await cloud.dana.error("GET", first) == (410, "syncStateNotFound")
    await sync(cloud, second)
    await cloud.lab("POST", "/switches", json={"delta_link_gone": True})
    gone = await cloud.dana.call("GET", third, 410)
    assert gone.headers["Location"].endswith("/me/mailFolders/inbox/messages/delta")
    assert await cloud.bob.error("GET", third) == (400, "InvalidSyncStateData")


async def test_batch(cloud: Cloud) -> None:
    """Each item is a call of its own with its own headers; one that depends on a failed one is a 424."""
    draft = await cloud.dana.draft()
    items = [
        {"id": "1", "method": "GET", "url": f"/me/messages/{draft['id']}?$select=id", "headers": IMMUTABLE},
        {"id": "2", "method": "GET", "url": "/me/messages/nonsense"},
        {"id": "3", "method": "GET", "url": "/me", "dependsOn": ["2"]},
        {
            "id": "4",
            "method": "PATCH",
            "url": f"/me/messages/{draft['id']}",
            "headers": {"Content-Type": "application/json"},
            "body": {"subject": "New"},
        },
        {"id": "5", "method": "POST", "url": f"/me/messages/{draft['id']}/send"},
    ]
    answer = await cloud.dana.call("POST", "/$batch", 200, json={"requests": items})
    responses = {item["id"]: item for item in answer.json()["responses"]}
    assert {key: item["status"] for key, item in responses.items()} == {
        "1": 200,
        "2": 400,
        "3": 424,
        "4": 200,
        "5": 202,
    }
    assert responses["1"]["body"]["id"].startswith("AAkA")
    assert responses["2"]["body"]["error"]["code"] == "ErrorInvalidIdMalformed"
    assert responses["4"]["body"]["subject"] == "New"
    assert "body" not in responses["5"]


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"requests": []},
        {"requests": [{"id": "1", "method": "GET"}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "header": {}}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me"}] * 2},
        {"requests": [{"id": str(n), "method": "GET", "url": "/me"} for n in range(21)]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]}]},
        {"requests": [{"id": "1", "method": "POST", "url": "/me/messages", "body": {}}]},
    ],
)
async def test_malformed_batches(cloud: Cloud, batch: dict[str, Any]) -> None:
    """A batch that is malformed as a whole is a 400 and runs nothing."""
    assert (await cloud.dana.error("POST", "/$batch", json=batch))[0] == 400
