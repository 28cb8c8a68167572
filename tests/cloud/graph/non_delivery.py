"""
Delivery reports: what the sender finds in the Inbox when mail could not be delivered, or is late.

Imitated: sender, subject, message class `REPORT.IPM.Note.NDR` of Exchange's own, and as MIME a `multipart/report` with the
status of each recipient (RFC 3464) and the headers of the original (RFC 3462). A foreign server's report comes in as an ordinary
email with that Content-Type. Two doubtful facts are switches: whether the report joins the original's conversation, and
whether it has In-Reply-To. Not imitated: Exchange's long HTML explanation, and that Exchange gives a foreign server's report
the class of its own ones (it may: both ways to recognise a report have to work).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage, Message
from email.policy import SMTP

from tests.cloud.graph.arrival import Mail
from tests.cloud.graph.conversation import new_internet_message_id

#: The local part of the address Exchange Online sends reports from; the domain is the tenant's.
REPORT_SENDER = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"
#: What the class says of the kind of report ([MS-OXCMAIL], report messages).
_CLASSES = {"failed": "NDR", "delivered": "DR", "delayed": "Delayed", "relayed": "Relayed", "expanded": "Expanded"}
_SUBJECTS = {"failed": "Undeliverable", "delayed": "Delivery delayed"}


@dataclass(frozen=True)
class Original:
    """The email that a report is about. `sender` is Graph's JSON."""

    sender: dict[str, dict[str, str]]
    subject: str
    internet_message_id: str


@dataclass(frozen=True)
class Fate:
    """What became of one recipient (RFC 3464 2.3)."""

    address: str
    action: str = "failed"
    status_code: str = "5.1.10"
    diagnostic: str = "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"


def report(
    original: Original, fates: Sequence[Fate], now: datetime, *, in_reply_to: bool, reporter: str | None = None
) -> Mail:
    """The report to the sender of `original`; `reporter` is the address of a foreign server, None: Exchange itself."""
    domain = original.sender["emailAddress"]["address"].rpartition("@")[2]
    action = fates[0].action
    text = (
        "Delivery has failed to these recipients or groups:\r\n\r\n"
        + "".join(f"{fate.address}\r\n" for fate in fates)
        + "\r\nThe address you typed couldn't be found or the mailbox does not exist.\r\n"
    )
    name = "Microsoft Outlook" if reporter is None else "Mail Delivery System"
    address = reporter or f"{REPORT_SENDER}@{domain}"
    internet_message_id = new_internet_message_id(address.rpartition("@")[2])
    subject = f"{_SUBJECTS.get(action, 'Delivery status')}: {original.subject}"
    headers = {"Auto-Submitted": "auto-replied"}
    if reporter is not None:
        headers["Content-Type"] = 'multipart/report; report-type=delivery-status;\r\n\tboundary="report"'
    mail = EmailMessage(SMTP.clone(max_line_length=998))
    mail["From"] = f"{name} <{address}>"
    mail["To"] = original.sender["emailAddress"]["address"]
    mail["Subject"] = subject
    mail["Message-ID"] = internet_message_id
    if in_reply_to:
        mail["In-Reply-To"] = original.internet_message_id
    mail["Auto-Submitted"] = "auto-replied"
    _write_parts(mail, original, fates, domain, text)
    return Mail(
        sender={"emailAddress": {"name": name, "address": address}},
        to=[original.sender],
        subject=subject,
        body={"contentType": "text", "content": text},
        internet_message_id=internet_message_id,
        sent_at=now,
        in_reply_to=original.internet_message_id if in_reply_to else None,
        references=[original.internet_message_id] if in_reply_to else [],
        headers=[{"name": header, "value": value} for header, value in headers.items()],
        message_class=f"REPORT.IPM.Note.{_CLASSES[action]}" if reporter is None else "IPM.Note",
        mime=mail.as_bytes(),
    )


def _write_parts(mail: EmailMessage, original: Original, fates: Sequence[Fate], domain: str, text: str) -> None:
    mail["Content-Type"] = "multipart/report; report-type=delivery-status"
    mail.attach(_part("text/plain; charset=utf-8", text))
    per_message = f"Reporting-MTA: dns;{domain}\r\n\r\n"
    per_recipient = (
        f"Final-Recipient: rfc822;{fate.address}\r\nAction: {fate.action}\r\nStatus: {fate.status_code}\r\n"
        f"Diagnostic-Code: {fate.diagnostic}\r\n"
        for fate in fates
    )
    mail.attach(_status_part(per_message + "\r\n".join(per_recipient)))
    sender = original.sender["emailAddress"]["address"]
    headers = f"Message-ID: {original.internet_message_id}\r\nSubject: {original.subject}\r\nFrom: {sender}\r\n"
    mail.attach(_part("text/rfc822-headers", headers))


def _part(content_type: str, text: str) -> EmailMessage:
    part = EmailMessage(SMTP)
    part["Content-Type"] = content_type
    part.set_payload(text)
    return part


def _status_part(text: str) -> EmailMessage:
    # The generator writes message/delivery-status as a list of header blocks.
    part = EmailMessage(SMTP)
    part["Content-Type"] = "message/delivery-status"
    blocks: list[Message[str, str] | str] = []
    for block_text in text.split("\r\n\r\n"):
        block = EmailMessage(SMTP)
        for line in block_text.strip().splitlines():
            name, _, value = line.partition(": ")
            block[name] = value
        blocks.append(block)
    part.set_payload(blocks)
    return part
