"""What is written to Graph: drafts, files, and the filter that finds our stamp again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.adapters.graph_shapes import (
    new_file,
    new_message,
    new_upload,
    recipients,
    stamped_query,
)
from sync.domain.body import Body
from sync.domain.mail import Address
from sync.domain.outgoing import Draft, OutgoingFile


@given(st.text())
def test_a_stamp_cannot_leave_its_filter(stamp: str) -> None:
    """OData doubles quotes inside a string: whatever the stamp holds, it is one string."""
    query = stamped_query(stamp)["$filter"]
    literal = query.partition("ep/value eq ")[2].removesuffix(")")
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "") == stamp.replace("'", "")
    assert literal[1:-1].replace("''", "'") == stamp


DRAFT = Draft(
    "msg_1", (Address("kim@customer.example", "Kim"),), (), (Address("x@x.example"),), "Offer", Body("<p>Hi</p>", "Hi")
)


def test_a_draft_to_create() -> None:
    """The JSON of a new message, stamped with our id, byte for byte what Graph documents."""
    assert new_message(DRAFT) == {
        "subject": "Offer",
        "toRecipients": [{"emailAddress": {"address": "kim@customer.example", "name": "Kim"}}],
        "ccRecipients": [],
        "bccRecipients": [{"emailAddress": {"address": "x@x.example"}}],
        "body": {"contentType": "html", "content": "<p>Hi</p>"},
        "singleValueExtendedProperties": [
            {"id": "String {3f1e8c52-6f0b-4c1f-9a57-0d2b7a64c9e1} Name CrmMessageId", "value": "msg_1"}
        ],
    }


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (Body("", "Hi"), {"contentType": "html", "content": ""}),
        (Body(None, "Hi"), {"contentType": "text", "content": "Hi"}),
        (Body(None, None), {"contentType": "text", "content": ""}),
    ],
)
def test_html_goes_before_text(body: Body, written: dict[str, str]) -> None:
    """A message of Graph has one body."""
    assert new_message(Draft("msg_1", (), (), (), "", body))["body"] == written


def test_an_empty_subject_keeps_outlooks() -> None:
    """An answer keeps the RE: that Outlook wrote, since none is sent."""
    assert "subject" not in new_message(Draft("msg_1", (), (), (), "", Body(None, "Hi")))


def test_an_alias_is_written_as_from() -> None:
    """Without a sender nothing is said, so that Graph writes the mailbox's own address."""
    assert "from" not in new_message(DRAFT)
    alias = replace(DRAFT, sender=Address("sales@contoso.example", "Sales"))
    assert new_message(alias)["from"] == {"emailAddress": {"address": "sales@contoso.example", "name": "Sales"}}


def test_recipients_to_set_name_every_group() -> None:
    """An empty group is written as empty, since one that is left out would stay as Graph chose it."""
    assert recipients(replace(DRAFT, to=(), bcc=())) == {"toRecipients": [], "ccRecipients": [], "bccRecipients": []}


def test_files_to_add() -> None:
    """Small files go as base64, large ones name their size; a content id only where there is one."""
    plain = OutgoingFile("a.txt", "text/plain", b"abc")
    assert new_file(plain) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "a.txt",
        "contentType": "text/plain",
        "contentBytes": "YWJj",
        "isInline": False,
    }
    inline = OutgoingFile("a.png", "image/png", b"abc", inline=True, content_id="logo@crm")
    assert new_file(inline)["contentId"] == "logo@crm"
    assert new_upload(inline) == {
        "AttachmentItem": {
            "attachmentType": "file",
            "name": "a.png",
            "size": 3,
            "contentType": "image/png",
            "isInline": True,
            "contentId": "logo@crm",
        }
    }
    assert "contentId" not in new_upload(plain)["AttachmentItem"]  # type: ignore[operator]
