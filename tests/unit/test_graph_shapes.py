"""Reading Graph's JSON: samples in the form of Microsoft's documentation, and what is made of their oddities."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.adapters.graph_shapes import (
    CONTENT_QUERY,
    IN_REPLY_TO,
    KEYS_QUERY,
    MESSAGE_CLASS,
    REFERENCES,
    STAMP,
    conversation_guid,
    graph_time,
    is_report,
    mail_content,
    mailbox_message,
    since_query,
    time_of,
)
from sync.domain.mail import Address, MailboxMessage, MailContent, MailFile, ThreadKeys


def recipient(address: str, name: str) -> dict[str, Any]:
    """Graph's `recipient` resource."""
    return {"emailAddress": {"address": address, "name": name}}


# After https://learn.microsoft.com/graph/api/message-get and .../outlook-immutable-id, as KEYS_QUERY asks for it.
RECEIVED: dict[str, Any] = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('x')/messages(…)/$entity",
    "@odata.etag": 'W/"CQAAABYAAADHcgC8Hl9tRZ/hc1wEUs1TAAAwR4Hg"',
    "id": "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A",
    "receivedDateTime": "2026-11-23T09:30:12Z",
    "sentDateTime": "2026-11-23T09:30:10Z",
    "internetMessageId": "<k1@customer.example>",
    "subject": "RE: Offer",
    "isDraft": False,
    "conversationId": "AAQkADNlNFdXGBnqtY=",
    "conversationIndex": "AQHTe7/VAniOJVgCxEmtF1z6ZY1rFQ==",
    "sender": recipient("assistant@customer.example", "Assistant"),
    "from": recipient("kim@customer.example", "Kim Lee"),
    "toRecipients": [recipient("anna@contoso.example", "Anna Berger")],
    "ccRecipients": [recipient("ben@contoso.example", "")],
    "bccRecipients": [],
    "replyTo": [recipient("desk@customer.example", "Desk")],
    "internetMessageHeaders": [
        {"name": "Received", "value": "from mail.customer.example"},
        {"name": "In-Reply-To", "value": "<a1@contoso.example>"},
        {"name": "References", "value": "<a0@contoso.example>\r\n <a1@contoso.example>"},
        {"name": "Auto-Submitted", "value": "auto-replied"},
    ],
}
READ = MailboxMessage(
    graph_id="AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A",
    keys=ThreadKeys(
        internet_message_id="<k1@customer.example>",
        in_reply_to="<a1@contoso.example>",
        references=("<a0@contoso.example>", "<a1@contoso.example>"),
        conversation_id="AAQkADNlNFdXGBnqtY=",
        conversation_guid="02788e255802c449ad175cfa658d6b15",
    ),
    subject="RE: Offer",
    sender=Address("kim@customer.example", "Kim Lee"),
    to=(Address("anna@contoso.example", "Anna Berger"),),
    cc=(Address("ben@contoso.example"),),
    reply_to=(Address("desk@customer.example", "Desk"),),
    sent_at=datetime(2026, 11, 23, 9, 30, 10, tzinfo=UTC),
    received_at=datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC),
    auto_reply=True,
)


def test_a_received_message() -> None:
    """Every key and address of the sample is read."""
    assert mailbox_message(RECEIVED) == READ


def test_a_sent_message_has_its_keys_in_extended_properties() -> None:
    """On Sent Items there are no headers; ids of properties come back in any case."""
    sent = {k: v for k, v in RECEIVED.items() if k != "internetMessageHeaders"} | {
        "singleValueExtendedProperties": [
            {"id": STAMP.upper(), "value": "msg_1"},
            {"id": "String 0x1042", "value": "<k1@customer.example>"},
            {"id": "string 0x1039", "value": "<a1@contoso.example> <k1@customer.example>"},
        ]
    }
    read = mailbox_message(sent)
    assert read.stamp == "msg_1"
    assert read.keys.in_reply_to == "<k1@customer.example>"
    assert read.keys.references == ("<a1@contoso.example>", "<k1@customer.example>")
    assert not read.auto_reply


def test_headers_go_before_extended_properties() -> None:
    """Where both are there, what was on the wire counts."""
    both = RECEIVED | {"singleValueExtendedProperties": [{"id": IN_REPLY_TO, "value": "<other@x.example>"}]}
    assert mailbox_message(both).keys.in_reply_to == "<a1@contoso.example>"


@pytest.mark.parametrize(
    "changes",
    [
        dict.fromkeys(set(RECEIVED) - {"id"}),
        {"subject": None, "from": None, "sender": None, "toRecipients": None, "internetMessageHeaders": None},
        {"from": {}, "sender": {"emailAddress": {}}, "toRecipients": [{}, {"emailAddress": {"name": "A group"}}]},
        {"from": {"emailAddress": None}, "sender": None, "ccRecipients": [{"emailAddress": {"address": None}}]},
        {"conversationIndex": "no base64", "internetMessageHeaders": [{"name": "In-Reply-To", "value": "nothing"}]},
    ],
)
def test_whatever_is_missing_is_empty(changes: dict[str, Any]) -> None:
    """Drafts, calendar mail and broken headers leave fields out, or null: such a message is read all the same."""
    read = mailbox_message(RECEIVED | changes)
    assert read.graph_id == RECEIVED["id"]
    assert read.sender is None or "from" not in changes
    assert None not in (read.subject, read.keys.in_reply_to, read.keys.conversation_guid)
    assert all(a.address for a in (*read.to, *read.cc, *read.bcc))


def test_the_bare_minimum() -> None:
    """An id is all that is needed."""
    assert mailbox_message({"id": "AAk1"}) == MailboxMessage("AAk1", ThreadKeys(), "", None)


def test_the_sender_stands_in_for_a_missing_from() -> None:
    """A message has one author: `from`, else `sender`."""
    assert mailbox_message(RECEIVED | {"from": None}).sender == Address("assistant@customer.example", "Assistant")


@pytest.mark.parametrize(
    ("header", "automatic"),
    [
        ("auto-replied", True),
        ("auto-generated", True),
        (" Auto-Replied; x=y", True),
        ("no", False),
        (" No ", False),
        ("", False),
    ],
)
def test_an_automatic_answer_is_told(header: str, automatic: bool) -> None:
    """RFC 3834: anything but `no` was sent by a program."""
    headers = [{"name": "auto-submitted", "value": header}]
    assert mailbox_message(RECEIVED | {"internetMessageHeaders": headers}).auto_reply is automatic


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Hi \ud83d", "Hi \ufffd"),
        ("\udc4b Hi", "\ufffd Hi"),
        ("Hi \ud83d\udc4b", "Hi 👋"),
        ("a\0b", "a\0b"),
        ("👋", "👋"),
    ],
)
def test_half_a_character_is_replaced(written: str, read: str) -> None:
    """Exchange cuts text anywhere in its UTF-16, and half an emoji could neither be stored nor told."""
    message = mailbox_message(RECEIVED | {"subject": written, "from": recipient("kim@x.example", written)})
    assert (message.subject, message.sender) == (read, Address("kim@x.example", read))
    content = mail_content({"body": {"contentType": "text", "content": written}, "attachments": [file(name=written)]})
    assert (content.text, content.files[0].name) == (read, read)


def file(kind: str = "fileAttachment", **changes: Any) -> dict[str, Any]:
    """An attachment as CONTENT_QUERY asks for it."""
    return {
        "@odata.type": f"#microsoft.graph.{kind}",
        "@odata.mediaContentType": "application/pdf",
        "id": "AAkB1",
        "name": "Offer.pdf",
        "contentType": "application/pdf",
        "size": 1_234,
        "isInline": False,
    } | changes


OFFER = MailFile("AAkB1", "file", "Offer.pdf", "application/pdf", 1_234, inline=False)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ({"body": {"contentType": "html", "content": "<p>Hi</p>"}}, MailContent("<p>Hi</p>", None)),
        ({"body": {"contentType": "HTML", "content": ""}}, MailContent("", None)),
        ({"body": {"contentType": "text", "content": "<p>"}}, MailContent(None, "<p>")),
        ({"body": {"contentType": "text", "content": None}}, MailContent(None, "")),
        ({"body": None, "attachments": None}, MailContent(None, "")),
        ({}, MailContent(None, "")),
        ({"attachments": [file()]}, MailContent(None, "", (OFFER,))),
    ],
)
def test_content(data: dict[str, Any], content: MailContent) -> None:
    """A body is HTML or text as Graph says, and one that is missing is an empty text."""
    assert mail_content(data) == content


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [
        ("fileAttachment", "file"),
        ("itemAttachment", "item"),
        ("referenceAttachment", "reference"),
        ("somethingNew", "reference"),
    ],
)
def test_kinds_of_attachments(kind: str, read_as: str) -> None:
    """Only a file is a file; a kind that is not known yet is none."""
    assert mail_content({"attachments": [file(kind)]}).files[0].kind == read_as


def test_an_attachment_without_details() -> None:
    """Graph leaves out or nulls what it does not know."""
    bare = file(name=None, contentType=None, size=None, isInline=None)
    assert mail_content({"attachments": [bare]}).files == (
        MailFile("AAkB1", "file", "", "application/octet-stream", 0, inline=False),
    )


def test_nothing_that_a_message_says_is_asked_for_before_it_is_ours() -> None:
    """The first query names keys and addresses, and no body, preview, file or category."""
    fields = set(KEYS_QUERY["$select"].split(","))
    assert fields == {
        *(
            "id",
            "conversationId",
            "conversationIndex",
            "internetMessageId",
            "internetMessageHeaders",
            "isDraft",
            "subject",
        ),
        *("from", "sender", "replyTo", "toRecipients", "ccRecipients", "bccRecipients"),
        *("receivedDateTime", "sentDateTime"),
    }
    assert "attachments" not in KEYS_QUERY["$expand"]
    assert all(f"id eq '{name}'" in KEYS_QUERY["$expand"] for name in (STAMP, IN_REPLY_TO, REFERENCES))


@pytest.mark.parametrize(
    ("since", "written"),
    [
        (datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC), "2026-11-23T09:30:12Z"),
        (datetime(2026, 11, 23, 9, 30, 12, 999_999, tzinfo=UTC), "2026-11-23T09:30:12Z"),
        (datetime(2026, 11, 23, 0, 30, tzinfo=timezone(timedelta(hours=2))), "2026-11-22T22:30:00Z"),
    ],
)
def test_looking_back_asks_for_keys_by_time_of_receipt(since: datetime, written: str) -> None:
    """
    Oldest first, from a whole second of UTC that is never later than what was asked; of any folder, and no more of each
    message than its keys.
    """
    assert since_query(since, 50) == KEYS_QUERY | {
        "$filter": f"receivedDateTime ge {written}",
        "$orderby": "receivedDateTime asc",
        "$top": "50",
    }
    assert since_query(since, 50, 7) == since_query(since, 50) | {"$skip": "7"}


def test_files_are_listed_without_their_bytes() -> None:
    """A file is read by itself, once its name and size are known to be allowed."""
    assert CONTENT_QUERY["$expand"] == "attachments($select=id,name,contentType,size,isInline)"


@pytest.mark.parametrize(
    ("index", "guid"),
    [
        ("AQHTe7/VAniOJVgCxEmtF1z6ZY1rFQ==", "02788e255802c449ad175cfa658d6b15"),
        (base64.b64encode(bytes(6) + bytes(range(16)) + b"level" * 3).decode(), bytes(range(16)).hex()),
        (base64.b64encode(bytes(21)).decode(), ""),
        ("", ""),
        ("no base64!", ""),
        ("AQHTe7/VAniOJVgCxEmtF1z6ZY1rF", ""),
        ("é", ""),
    ],
)
def test_the_guid_of_a_conversation_index(index: str, guid: str) -> None:
    """Bytes 6 to 21, the same for every answer of a conversation; what is no index has none."""
    assert conversation_guid(index) == guid


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-23T09:30:12Z", datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC)),
        ("2026-11-23T09:30:12.1234567Z", datetime(2026, 11, 23, 9, 30, 12, 123_456, tzinfo=UTC)),
        ("2026-11-23T09:30:12.5+02:00", datetime(2026, 11, 23, 7, 30, 12, 500_000, tzinfo=UTC)),
        ("2026-11-23T09:30:12", datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_times_of_graph(text: str | None, when: datetime | None) -> None:
    """Up to seven digits of a second; a time without a zone is UTC."""
    assert time_of(text) == when


@given(
    st.datetimes(
        min_value=datetime(1000, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.just(timezone(timedelta(hours=2))),
    )
)
def test_a_time_written_for_graph_is_the_same_time(when: datetime) -> None:
    """Written with seven digits in UTC, as Graph does, and read back."""
    text = graph_time(when)
    assert len(text) == len("2026-11-23T09:30:12.1234567Z")
    assert time_of(text) == when


REPORTS = [
    ("report.ipm.note.ndr", "", True),
    ("report.ipm.note.dr", "", True),
    ("report.ipm.note.delayed", "", True),
    ("report.ipm.note.smime.ndr", "", True),
    ("report.ipm.note.ipnrn", "", False),
    ("report.ipm.note.ipnnrn", 'multipart/report; report-type="delivery-status"', False),
    ("ipm.note", 'multipart/report; report-type=delivery-status; boundary="b"', True),
    ("ipm.note", 'Multipart/Report; boundary="b";\r\n\tReport-Type="Delivery-Status"', True),
    ("", "multipart/report; report-type = delivery-status", True),
    ("ipm.note", "multipart/report; report-type=disposition-notification", False),
    ("ipm.note", "multipart/report; report-type=delivery-status-x", False),
    ("ipm.note", "multipart/report; x-report-type=delivery-status", False),
    ("ipm.note", "multipart/report", False),
    ("ipm.note", "multipart/mixed; report-type=delivery-status", False),
    ("ipm.note", "multipart/alternative", False),
    ("ipm.note.rules.ooftemplate.microsoft", "", False),
    ("ipm.note", "", False),
]


@pytest.mark.parametrize(("message_class", "content_type", "report"), REPORTS)
def test_what_is_a_delivery_report(message_class: str, content_type: str, report: bool) -> None:
    """Exchange's class, or the Content-Type of RFC 6522; what reports reading is none."""
    assert is_report(message_class, content_type) is report
    shown = RECEIVED | {
        "internetMessageHeaders": [{"name": "content-type", "value": content_type}],
        "singleValueExtendedProperties": [{"id": MESSAGE_CLASS, "value": message_class.upper()}],
    }
    assert mailbox_message(shown).report is report


@pytest.mark.parametrize(
    ("message_class", "automatic"),
    [
        ("IPM.Note.Rules.OofTemplate.Microsoft", True),
        ("IPM.Note.Rules.ReplyTemplate.Microsoft", True),
        ("IPM.Note", False),
    ],
)
def test_an_automatic_reply_by_rule_is_known_by_its_class(message_class: str, automatic: bool) -> None:
    """Also between mailboxes of one organisation, where no header says so; it is a reply all the same, and no report."""
    shown = RECEIVED | {
        "internetMessageHeaders": [],
        "singleValueExtendedProperties": [{"id": MESSAGE_CLASS, "value": message_class}],
    }
    assert (mailbox_message(shown).auto_reply, mailbox_message(shown).report) == (automatic, False)
