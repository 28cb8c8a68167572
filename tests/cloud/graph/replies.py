"""
Drafts that answer or forward a message: who they go to, what they quote, and how they thread.

Imitated (https://learn.microsoft.com/graph/api/message-createreply and its kin, [MS-OXOMSG] 2.2.1): `RE:`/`FW:` once
before the subject, `replyTo` before `from`, the quoted original under a header block, the conversation of the original
with five more bytes of index, In-Reply-To and References. Answering one's own sent mail addresses oneself (a switch),
answering all addresses the original recipients. A reply carries over inline files (a switch), a forward all files. Not
imitated: the locale of the quoted header block, signatures (Graph adds none either).
"""

import html
from dataclasses import replace
from typing import Any, Literal

from tests.cloud.directory import Person
from tests.cloud.graph import bodies
from tests.cloud.graph.conversation import Conversation, base_subject, child_index, new_internet_message_id
from tests.cloud.graph.errors import bad_request
from tests.cloud.graph.mailbox import Mailbox
from tests.cloud.graph.message import Message

AnswerKind = Literal["reply", "replyAll", "forward"]


def answer(
    mailbox: Mailbox,
    person: Person,
    original: Message,
    kind: AnswerKind,
    *,
    own_mail_addresses_self: bool,
    carries_inline_files: bool,
) -> Message:
    """A draft (not yet stored) of `person` that answers `original`; raises 400 where the original is itself a draft."""
    if original.is_draft:
        raise bad_request("The reference item does not support the requested operation.", "ErrorInvalidReferenceItem")
    now = mailbox.now()
    domain = person.email.rpartition("@")[2]
    draft = Message(
        folder=mailbox.folders["drafts"],
        conversation=Conversation(original.conversation.id, child_index(original.conversation.index, now)),
        internet_message_id=new_internet_message_id(domain),
        created_at=now,
        received_at=now,
        sent_at=now,
        is_draft=True,
        in_reply_to=original.internet_message_id,
        references=[*original.references, original.internet_message_id],
        attachments=[
            replace(a, modified_at=now)
            for a in original.attachments
            if kind == "forward" or (a.is_inline and carries_inline_files)
        ],
    )
    prefix = "FW" if kind == "forward" else "RE"
    draft.fields |= {
        "subject": f"{prefix}: {base_subject(original.fields['subject'])}",
        "body": {"contentType": "html", "content": _quoting(original, "")},
        "isRead": True,
    }
    if kind != "forward":
        to, cc = _addressed(person, original, to_all=kind == "replyAll", to_self=own_mail_addresses_self)
        draft.fields |= {"toRecipients": to, "ccRecipients": cc}
    return draft


def with_comment(original: Message, comment: str) -> dict[str, str]:
    """The body of an answer: the comment, then the quoted original."""
    return {"contentType": "html", "content": _quoting(original, html.escape(comment, quote=False))}


def with_added(chosen: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recipients that Graph chose and those that were given, once each."""
    return _without(set(), [*chosen, *given])


def _addressed(
    person: Person, original: Message, *, to_all: bool, to_self: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    fields = original.fields
    own = {address.lower() for address in person.addresses}
    sender = fields["from"]
    sent_by_self = sender is not None and sender["emailAddress"]["address"].lower() in own
    answer_to = list(fields["replyTo"]) or ([sender] if sender else [])
    if sent_by_self and (to_all or not to_self):
        answer_to = []
    if to_all:
        to = _without(own, [*answer_to, *fields["toRecipients"]])
        seen = own | {recipient["emailAddress"]["address"].lower() for recipient in to}
        return to, _without(seen, fields["ccRecipients"])
    return answer_to or list(fields["toRecipients"]), []


def _without(addresses: set[str], recipients: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recipients once each, those of `addresses` left out."""
    kept: dict[str, dict[str, Any]] = {}
    for recipient in recipients:
        address = recipient["emailAddress"]["address"].lower()
        if address not in addresses:
            kept.setdefault(address, recipient)
    return list(kept.values())


def _quoting(original: Message, above: str) -> str:
    fields = original.fields
    body = fields["body"]
    content = body["content"] if body["contentType"] == "html" else bodies.html_of_text(body["content"])
    rows = {
        "From": [fields["from"]] if fields["from"] else [],
        "To": fields["toRecipients"],
        "Cc": fields["ccRecipients"],
    }
    header = "".join(
        f"<b>{label}:</b> {html.escape('; '.join(_shown(r) for r in recipients))}<br>\r\n"
        for label, recipients in rows.items()
        if recipients
    )
    sent = original.sent_at.strftime("%A, %d %B %Y %H:%M:%S")
    return bodies.rewritten_html(
        f'{above}<hr tabindex="-1" style="display:inline-block; width:98%">\r\n'
        f'{bodies.QUOTE_MARK} dir="ltr"><font face="Calibri, sans-serif" color="#000000" style="font-size:11pt">'
        f"{header}<b>Sent:</b> {sent}<br>\r\n<b>Subject:</b> {html.escape(fields['subject'])}</font>"
        f"<div>&nbsp;</div></div>\r\n{bodies.inner_html(content)}"
    )


def _shown(recipient: dict[str, Any]) -> str:
    who = recipient["emailAddress"]
    return f"{who.get('name') or who['address']} <{who['address']}>"
