"""The query options of the Graph emulator: what they find, what they show, and that nothing unknown gets by."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from tests.cloud.graph import odata
from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.extended_property import property_key

STAMP = "String {00020329-0000-0000-C000-000000000046} Name CrmSendId"
MESSAGE: dict[str, Any] = {
    "@odata.etag": 'W/"CQAA"',
    "id": "AAMkA1",
    "subject": "Ada's offer",
    "isRead": False,
    "hasAttachments": True,
    "importance": "normal",
    "from": {"emailAddress": {"name": "Ada", "address": "Ada@Contoso.example"}},
    "toRecipients": [
        {"emailAddress": {"name": "B", "address": "b@x.example"}},
        {"emailAddress": {"name": "C", "address": "c@x.example"}},
    ],
    "categories": ["Red"],
    "receivedDateTime": "2026-11-23T08:00:00Z",
    "sentDateTime": None,
    "conversationId": "AAQk+/=",
    "internetMessageId": "<a+b@x.example>",
    "internetMessageHeaders": [{"name": "X-A", "value": "1"}],
    "body": {"contentType": "text", "content": "hi"},
    "singleValueExtendedProperties": [
        {"id": STAMP, "value": "msg_1"},
        {"id": "String 0x1042", "value": "<one@x>"},
    ],
    "attachments": [
        {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "id": "F1",
            "name": "a.pdf",
            "contentId": "cid1",
            "contentBytes": "QQ==",
        },
        {"@odata.type": "#microsoft.graph.itemAttachment", "id": "I1", "name": "mail", "contentId": "no"},
    ],
}


def _parse(collection: bool = True, model: odata.EntityModel = odata.MESSAGE, **options: str) -> odata.QueryOptions:
    return odata.parse({f"${name}": value for name, value in options.items()}, model, collection=collection)


def _filter(text: str) -> odata.Filter:
    found = _parse(filter=text).filter
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subject eq 'Ada''s offer'", True),
        ("subject eq 'ADA''S OFFER'", True),
        ("subject ne 'Ada''s offer'", False),
        ("conversationId eq 'AAQk+/='", True),
        ("conversationId eq 'aaqk+/='", False),
        ("internetMessageId eq '<a+b@x.example>'", True),
        ("isRead eq false", True),
        ("isRead ne false", False),
        ("isRead eq false and hasAttachments eq true", True),
        ("isRead eq true or hasAttachments eq true and importance eq 'high'", False),
        ("(isRead eq true or hasAttachments eq true) and importance eq 'normal'", True),
        ("not (isRead eq true)", True),
        ("not not (isRead eq true)", False),
        ("not (isRead eq true) and hasAttachments eq false", False),
        ("receivedDateTime ge 2026-11-23T08:00:00Z", True),
        ("receivedDateTime gt 2026-11-23T08:00:00Z", False),
        ("receivedDateTime ge 2026-11-23T08:00:00.0000001Z", True),
        ("receivedDateTime lt 2026-11-23T08:00:00.5Z", True),
        ("receivedDateTime eq 2026-11-23T09:00:00+01:00", True),
        ("receivedDateTime le 2026-11-23", False),
        ("receivedDateTime gt 2026-11-23", True),
        ("sentDateTime eq null", True),
        ("sentDateTime ne null", False),
        ("sentDateTime lt 2027-01-01T00:00:00Z", False),
        ("not (sentDateTime lt 2027-01-01T00:00:00Z)", True),
        ("from/emailAddress/address eq 'ada@contoso.example'", True),
        ("sender/emailAddress/address eq 'ada@contoso.example'", False),
        ("sender/emailAddress/address eq null", True),
        ("toRecipients/any(r: r/emailAddress/address eq 'c@x.example')", True),
        ("toRecipients/any(r:r/emailAddress/address eq 'c@x.example' and r/emailAddress/name eq 'B')", False),
        ("ccRecipients/any(r: r/emailAddress/address ne 'x')", False),
        ("categories/any(c: c eq 'red')", True),
        ("startswith(subject,'ada')", True),
        ("endswith(from/emailAddress/address,'@contoso.example')", True),
        ("contains(subject, 'offer') and not contains(subject,'price')", True),
        ("startswith(sender/emailAddress/name,'A')", False),
        (f"singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value eq 'msg_1')", True),
        (f"singleValueExtendedProperties/any(p:p/value eq 'msg_1' and p/id eq '{STAMP}')", True),
        (f"singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value eq '<one@x>')", False),
        (f"singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value ne null)", True),
        (
            "singleValueExtendedProperties/any(ep: ep/id eq"
            " 'string {00020329-0000-0000-c000-000000000046} Name CrmSendId' and ep/value eq 'msg_1')",
            True,
        ),
        ("singleValueExtendedProperties/any(ep: ep/id eq 'String 0x00001042' and ep/value eq '<one@x>')", None),
        ("singleValueExtendedProperties/any(ep: ep/id eq 'string 0X1042' and ep/value eq '<one@x>')", None),
    ],
)
def test_filter_finds(text: str, expected: bool | None) -> None:
    """A filter says of one message what OData says of it (None: the id is malformed, which is a 400)."""
    if expected is None:
        with pytest.raises(GraphError):
            _filter(text)
    else:
        assert _filter(text).matches(MESSAGE) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "subject",
        "isRead",
        "subject eq",
        "subject eq offer",
        'subject eq "offer"',
        "subject eq 'open",
        "subject = 'offer'",
        "subject EQ 'offer'",
        "'offer' eq subject",
        "subject eq 'a' 'b'",
        "subject eq 'a'and isRead eq true",
        "subject eq 'a' and",
        "subject eq 'a' xor isRead eq true",
        "(subject eq 'a'",
        "subject eq 'a')",
        "not subject eq 'a'",
        "subjekt eq 'a'",
        "Subject eq 'a'",
        "body/content eq 'a'",
        "internetMessageHeaders/any(h: h/name eq 'X-A')",
        "from eq 'ada@contoso.example'",
        "isRead eq 'false'",
        "isRead gt false",
        "receivedDateTime ge '2026-11-23T08:00:00Z'",
        "receivedDateTime ge 2026-11-23T08:00:00",
        "receivedDateTime ge 2026-11-23T08:00:00 01:00",
        "receivedDateTime ge 2026-13-45T08:00:00Z",
        "receivedDateTime ge 20261123",
        "subject eq 5",
        "toRecipients/any()",
        "toRecipients/any(r: subject eq 'a')",
        "toRecipients/any(r: q/emailAddress/address eq 'a')",
        "toRecipients/any(r: r/address eq 'a')",
        "toRecipients/any(r: r eq 'a')",
        "toRecipients/any(r r/emailAddress/address eq 'a')",
        "toRecipients/all(r: r/emailAddress/address eq 'a')",
        "toRecipients/any(r: r/emailAddress/address eq 'a' or toRecipients/any(q: q/emailAddress/address eq 'a'))",
        "attachments/any(a: a/name eq 'a')",
        "singleValueExtendedProperties/any(ep: ep/id eq 'CrmSendId' and ep/value eq 'a')",
        "singleValueExtendedProperties/any(ep: ep/id gt 'String 0x1042')",
        "tolower(subject) eq 'a'",
        "substringof('a', subject)",
        "startswith(isRead,'a')",
        "startswith(subject)",
        "startswith(subject,null)",
        "startswith('a',subject)",
        "subject in ('a','b')",
    ],
)
def test_a_filter_that_graph_would_not_read_is_refused(text: str) -> None:
    """What is malformed, unknown, or compares unlike kinds is a 400 and never a filter that quietly finds nothing."""
    with pytest.raises(GraphError) as refused:
        _filter(text)
    assert refused.value.status == 400


@given(st.text(), st.text())
def test_any_string_can_be_asked_for(written: str, other: str) -> None:
    """With its quotes doubled, any text is found as written and is never taken for a part of the filter."""
    found = _filter(f"conversationId eq '{written.replace("'", "''")}' and isRead eq false")
    assert found.matches({"conversationId": written, "isRead": False})
    assert found.matches({"conversationId": other, "isRead": False}) is (other == written)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever is sent as a query is answered or refused, and never a failure of the emulator."""
    for option in ("filter", "expand", "select", "orderby", "top", "skip", "count"):
        with suppress(GraphError):
            odata.parse({f"${option}": text}, odata.MESSAGE, collection=True)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("String 0x1042", "string 0x1042", True),
        ("String 0x0070", "String 0x70", True),
        ("String 0x1042", "Binary 0x1042", False),
        (STAMP, STAMP.replace("C000", "c000"), True),
        (STAMP, STAMP.replace("CrmSendId", "crmsendid"), False),
        (STAMP.replace("Name CrmSendId", "Id 0x8502"), STAMP.replace("Name CrmSendId", "Id 0x00008502"), True),
        (STAMP.replace("Name CrmSendId", "Id 0x8502"), "String 0x8502", False),
    ],
)
def test_property_ids_compare_by_meaning(one: str, other: str, same: bool) -> None:
    """Two spellings of one MAPI property are one property; a name is compared as written."""
    assert (property_key(one) == property_key(other)) is same


@pytest.mark.parametrize(
    "property_id",
    [
        "",
        "CrmSendId",
        "String",
        "String 1042",
        "String 0xXYZ",
        "Text 0x1042",
        "String 00020329-0000-0000-C000-000000000046 Name CrmSendId",
        "String {00020329-0000-0000-C000-00000000004} Name CrmSendId",
        "String {------------------------------------} Name CrmSendId",
        "String {00020329-0000-0000-C000-000000000046} Name ",
        "String {00020329-0000-0000-C000-000000000046} CrmSendId",
    ],
)
def test_malformed_property_ids_are_refused(property_id: str) -> None:
    """An id outside the grammar is a 400."""
    with pytest.raises(GraphError):
        property_key(property_id)


@pytest.mark.parametrize(
    "query",
    [
        {"select": "id"},
        {"filter": "isRead eq true"},
        {"$Select": "id"},
        {"$selct": "id"},
        {"$format": "json"},
        {"$search": '"ada"'},
        {"foo": "1"},
        {"$select": ""},
        {"$select": "*"},
        {"$select": "id,"},
        {"$select": "sender/emailAddress"},
        {"$select": "snippet"},
        {"$select": "attachments"},
        {"$top": "0"},
        {"$top": "1001"},
        {"$top": "ten"},
        {"$top": "²"},
        {"$skip": "-1"},
        {"$count": "yes"},
        {"$orderby": ""},
        {"$orderby": "receivedDateTime down"},
        {"$orderby": "receivedDateTime desc desc"},
        {"$orderby": "body"},
        {"$orderby": "subject,subject desc"},
        {"$expand": ""},
        {"$expand": "extensions"},
        {"$expand": "attachments,attachments"},
        {"$expand": "attachments($select=id"},
        {"$expand": "attachments()"},
        {"$expand": "attachments($select=id)x"},
        {"$expand": "attachments($select=id;$select=name)"},
        {"$expand": "attachments($select=contentId)"},
        {"$expand": "attachments($select=microsoft.graph.itemAttachment/contentId)"},
        {"$expand": "attachments($levels=2)"},
        {"$expand": "singleValueExtendedProperties"},
        {"$expand": "singleValueExtendedProperties($filter=id eq 'CrmSendId')"},
    ],
)
def test_unknown_and_malformed_options_are_refused(query: dict[str, str]) -> None:
    """A typing error in a query is a 400, so that a test sees it."""
    with pytest.raises(GraphError) as refused:
        odata.parse(query, odata.MESSAGE, collection=True)
    assert refused.value.status == 400


def test_an_option_given_twice_is_refused() -> None:
    """Two `$select` are an error, not one that wins."""
    with pytest.raises(GraphError):
        odata.parse(MultiDict([("$select", "id"), ("$select", "subject")]), odata.MESSAGE, collection=True)


@pytest.mark.parametrize("option", ["$filter", "$orderby", "$top", "$skip", "$count"])
def test_one_entity_takes_no_collection_options(option: str) -> None:
    """`$top` on a single message is a mistake and is told."""
    with pytest.raises(GraphError):
        odata.parse({option: "1"}, odata.MESSAGE, collection=False)


def test_select_shows_only_what_it_names() -> None:
    """`id`, annotations and the selected properties; those that nobody gets unasked included."""
    options = _parse(select="subject, internetMessageHeaders", collection=False)
    assert odata.project(MESSAGE, options, ["isRead"]) == {
        "@odata.etag": 'W/"CQAA"',
        "id": "AAMkA1",
        "subject": "Ada's offer",
        "internetMessageHeaders": [{"name": "X-A", "value": "1"}],
    }


def test_without_select_the_default_is_shown() -> None:
    """The route says what an answer carries; what is stored beside it stays inside."""
    shown = odata.project(MESSAGE, _parse(collection=False), ["subject", "isRead"])
    assert shown == {"@odata.etag": 'W/"CQAA"', "id": "AAMkA1", "subject": "Ada's offer", "isRead": False}


def test_expand_filters_extended_properties() -> None:
    """Only the property asked for is shown, and none at all where the message does not have it."""
    wanted = _parse(expand=f"singleValueExtendedProperties($filter=id eq '{STAMP}')", select="id")
    assert odata.project(MESSAGE, wanted, [])["singleValueExtendedProperties"] == [{"id": STAMP, "value": "msg_1"}]
    two = _parse(expand="singleValueExtendedProperties($filter=id eq 'String 0x1042' or id eq 'String 0x1039')")
    assert [p["value"] for p in odata.project(MESSAGE, two, [])["singleValueExtendedProperties"]] == ["<one@x>"]
    missing = _parse(expand="singleValueExtendedProperties($filter=id eq 'String 0x0070')")
    assert "singleValueExtendedProperties" not in odata.project(MESSAGE, missing, [])


def test_expand_selects_inside_attachments() -> None:
    """Nested `$select` keeps bytes away; the cast shows `contentId` of files only."""
    options = _parse(
        expand="attachments($select=id,microsoft.graph.fileAttachment/contentId),"
        f"singleValueExtendedProperties($filter=id eq '{STAMP}';$select=value)"
    )
    shown = odata.project(MESSAGE, options, [])
    assert shown["attachments"] == [
        {"@odata.type": "#microsoft.graph.fileAttachment", "id": "F1", "contentId": "cid1"},
        {"@odata.type": "#microsoft.graph.itemAttachment", "id": "I1"},
    ]
    assert shown["singleValueExtendedProperties"][0]["value"] == "msg_1"


def test_expand_without_options_brings_everything() -> None:
    """Expanded attachments carry their bytes, as Graph's do."""
    shown = odata.project(MESSAGE, _parse(expand="attachments"), [])
    assert shown["attachments"] == MESSAGE["attachments"]


@pytest.mark.parametrize(
    ("text", "orderby", "fine"),
    [
        (None, "receivedDateTime desc", True),
        ("isRead eq true", None, True),
        ("receivedDateTime ge 2020-01-01T00:00:00Z", "receivedDateTime desc", True),
        ("receivedDateTime ge 2020-01-01T00:00:00Z and conversationId eq 'a'", "receivedDateTime desc", True),
        (
            "receivedDateTime ge 2020-01-01T00:00:00Z and receivedDateTime lt 2021-01-01T00:00:00Z and isRead eq true",
            "receivedDateTime,isRead",
            True,
        ),
        ("conversationId eq 'a'", "receivedDateTime desc", False),
        ("conversationId eq 'a' and receivedDateTime ge 2020-01-01T00:00:00Z", "receivedDateTime desc", False),
        ("receivedDateTime ge 2020-01-01T00:00:00Z and isRead eq true", "isRead,receivedDateTime", False),
        ("receivedDateTime ge 2020-01-01T00:00:00Z", "receivedDateTime,subject", False),
        (f"singleValueExtendedProperties/any(p: p/id eq '{STAMP}')", "receivedDateTime", False),
    ],
)
def test_sorting_must_lead_the_filter(text: str | None, orderby: str | None, fine: bool) -> None:
    """What is sorted by comes first in the filter and in the same order, or Exchange calls it inefficient."""
    query = {name: value for name, value in (("$filter", text), ("$orderby", orderby)) if value is not None}
    options = odata.parse(query, odata.MESSAGE, collection=True)
    if fine:
        odata.check_order(options.filter, options.orderby)
    else:
        with pytest.raises(GraphError) as refused:
            odata.check_order(options.filter, options.orderby)
        assert (refused.value.status, refused.value.code) == (400, "InefficientFilter")


def test_several_sort_keys() -> None:
    """Keys apply in order, each in its direction; null is least; equal entities keep their order."""
    items: list[dict[str, Any]] = [
        {"n": 1, "subject": "b", "receivedDateTime": "2026-01-02T00:00:00Z"},
        {"n": 2, "subject": "A", "receivedDateTime": "2026-01-01T00:00:00Z"},
        {"n": 3, "subject": "a", "receivedDateTime": "2026-01-03T00:00:00.5Z"},
        {"n": 4, "subject": None, "receivedDateTime": "2026-01-03T00:00:00Z"},
        {"n": 5, "subject": "B", "receivedDateTime": "2026-01-02T00:00:00Z"},
    ]
    by = [("subject", False), ("receivedDateTime", True)]
    assert [item["n"] for item in odata.apply_orderby(items, by)] == [4, 3, 2, 1, 5]
    assert [item["n"] for item in odata.apply_orderby(items, [("subject", True)])] == [1, 5, 2, 3, 4]
    assert _parse(orderby="subject, receivedDateTime desc").orderby == by


def test_page_options() -> None:
    """Paging options are numbers within Graph's bounds, and None or zero where they are not given."""
    options = _parse(top="1000", skip="20", count="true")
    assert (options.top, options.skip, options.count) == (1000, 20, True)
    empty = _parse()
    assert (empty.top, empty.skip, empty.count, empty.select, empty.filter, empty.orderby) == (
        None,
        0,
        False,
        None,
        None,
        [],
    )
