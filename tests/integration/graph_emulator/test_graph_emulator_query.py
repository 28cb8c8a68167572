"""Query options over HTTP: pages, filters, orders, and everything that is refused."""

import pytest

from tests.integration.graph_emulator.conftest import Cloud


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$seelct=id", "BadRequest"),
        ("select=id", "BadRequest"),
        ("$select=nope", "BadRequest"),
        ("$select=attachments", "BadRequest"),
        ("$expand=extensions", "BadRequest"),
        ("$expand=attachments($select=nope)", "BadRequest"),
        ("$expand=singleValueExtendedProperties", "BadRequest"),
        ("$filter=subject", "BadRequest"),
        ("$filter=subject eq 5", "BadRequest"),
        ("$filter=bodyPreview eq 'x'", "BadRequest"),
        ("$filter=receivedDateTime ge yesterday", "BadRequest"),
        ("$filter=subject eq 'x' and", "BadRequest"),
        ("$top=0", "BadRequest"),
        ("$top=1001", "BadRequest"),
        ("$skip=-1", "BadRequest"),
        ("$count=maybe", "BadRequest"),
        ("$search=x", "SearchNotSupported"),
        ("$filter=subject eq 'x'&$orderby=receivedDateTime desc", "InefficientFilter"),
        (
            "$filter=conversationId eq 'x' and receivedDateTime ge 2020-01-01&$orderby=receivedDateTime",
            "InefficientFilter",
        ),
    ],
)
async def test_refused_queries(cloud: Cloud, query: str, code: str) -> None:
    """A query with anything unknown, malformed or unsupported is a 400, so that a typo shows."""
    assert await cloud.dana.error("GET", f"/me/messages?{query}") == (400, code)


async def test_options_for_lists_are_refused_on_one_message(cloud: Cloud) -> None:
    """A single message takes no `$top` or `$filter`."""
    draft = await cloud.dana.draft()
    for query in ("$top=1", "$filter=isRead eq true", "$count=true"):
        assert await cloud.dana.error("GET", f"/me/messages/{draft['id']}?{query}") == (400, "BadRequest")


async def test_pages(cloud: Cloud) -> None:
    """`$top` is the page's size, ten by default; the next link keeps every option and ends after the last page."""
    for number in range(12):
        await cloud.arrives(subject=f"n{number:02}")
        cloud.clock.advance(1)
    first = await cloud.dana.get("/me/messages")
    assert [m["subject"] for m in first["value"]] == [f"n{n:02}" for n in range(11, 1, -1)]
    pages = []
    page = await cloud.dana.get("/me/messages?$top=5&$select=subject&$orderby=receivedDateTime&$count=true")
    while True:
        assert page["@odata.count"] == 12
        assert all(set(m) == {"@odata.etag", "id", "subject"} for m in page["value"])
        pages.append([m["subject"] for m in page["value"]])
        if "@odata.nextLink" not in page:
            break
        page = await cloud.dana.get(page["@odata.nextLink"])
    assert [len(p) for p in pages] == [5, 5, 2]
    assert [subject for subjects in pages for subject in subjects] == [f"n{n:02}" for n in range(12)]


async def test_filters(cloud: Cloud) -> None:
    """Messages are found by what the app looks for: ids, dates, sender, flags, threading properties."""
    old = await cloud.arrives(subject="It's old")
    cloud.clock.advance(1800)
    new = await cloud.arrives(subject="New", **{"from": "eve@world.example"}, in_reply_to=old["internet_message_id"])
    got = await cloud.dana.get(f"/me/messages/{new['id']}?$select=receivedDateTime,conversationId")
    filters = {
        f"internetMessageId eq '{new['internet_message_id']}'": ["New"],
        f"receivedDateTime ge {got['receivedDateTime']}": ["New"],
        f"receivedDateTime lt {got['receivedDateTime']}": ["It's old"],
        "subject eq 'it''s OLD'": ["It's old"],
        "from/emailAddress/address eq 'EVE@world.example'": ["New"],
        f"conversationId eq '{got['conversationId']}'": ["New", "It's old"],
        "isRead eq false and not (startswith(subject,'N'))": ["It's old"],
        f"singleValueExtendedProperties/any(p: p/id eq 'String 0x1042' and p/value eq '{old['internet_message_id']}')": [
            "New"
        ],
        "isDraft eq true or hasAttachments eq true": [],
    }
    for text, subjects in filters.items():
        page = await cloud.dana.get("/me/messages", params={"$filter": text, "$select": "subject"})
        assert [m["subject"] for m in page["value"]] == subjects, text
