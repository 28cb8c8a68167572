"""
Non-delivery reports: what the sender finds in the Inbox when mail could not be delivered.

Imitated: sender, subject, message class `REPORT.IPM.Note.NDR`, and as MIME a `multipart/report` with the status of each
recipient (RFC 3464) and the headers of the original (RFC 3462). Two doubtful facts are switches: whether the report joins
the original's conversation, and whether it has In-Reply-To. Not imitated: Exchange's long HTML explanation, delayed
reports, reports from a foreign server.
"""

from datetime import datetime
from email.message import EmailMessage, Message
from email.policy import SMTP

from tests.cloud.graph.arrival import Mail
from tests.cloud.graph.conversation import new_internet_message_id

#: The local part of the address Exchange Online sends reports from; the domain is the tenant's.
REPORT_SENDER = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"
_STATUS = "5.1.10"
_DIAGNOSTIC = "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"


def report(original: Mail, failed: list[str], now: datetime, *, in_reply_to: bool) -> Mail:
    """The report to the sender of `original` about the addresses in `failed`."""
    sender = original.sender["emailAddress"]
    domain = sender["address"].rpartition("@")[2]
    text = (
        "Delivery has failed to these recipients or groups:\r\n\r\n"
        + "".join(f"{address}\r\n" for address in failed)
        + "\r\nThe address you typed couldn't be found or the mailbox does not exist.\r\n"
    )
    internet_message_id = new_internet_message_id(domain)
    subject = f"Undeliverable: {original.subject}"
    return Mail(
        sender={"emailAddress": {"name": "Microsoft Outlook", "address": f"{REPORT_SENDER}@{domain}"}},
        to=[original.sender],
        subject=subject,
        body={"contentType": "text", "content": text},
        internet_message_id=internet_message_id,
        sent_at=now,
        in_reply_to=original.internet_message_id if in_reply_to else None,
        references=[original.internet_message_id] if in_reply_to else [],
        headers=[{"name": "Auto-Submitted", "value": "auto-replied"}],
        message_class="REPORT.IPM.Note.NDR",
        mime=_as_mime(original, failed, subject, internet_message_id, text),
    )


def _as_mime(original: Mail, failed: list[str], subject: str, internet_message_id: str, text: str) -> bytes:
    sender = original.sender["emailAddress"]["address"]
    domain = sender.rpartition("@")[2]
    mail = EmailMessage(SMTP.clone(max_line_length=998))
    mail["From"] = f"Microsoft Outlook <{REPORT_SENDER}@{domain}>"
    mail["To"] = sender
    mail["Subject"] = subject
    mail["Message-ID"] = internet_message_id
    mail["In-Reply-To"] = original.internet_message_id
    mail["Auto-Submitted"] = "auto-replied"
    mail["Content-Type"] = "multipart/report; report-type=delivery-status"
    mail.attach(_part("text/plain; charset=utf-8", text))
    per_message = f"Reporting-MTA: dns;{domain}\r\n\r\n"
    per_recipient = (
        f"Final-Recipient: rfc822;{address}\r\nAction: failed\r\nStatus: {_STATUS}\r\nDiagnostic-Code: {_DIAGNOSTIC}\r\n"
        for address in failed
    )
    mail.attach(_status_part(per_message + "\r\n".join(per_recipient)))
    headers = f"Message-ID: {original.internet_message_id}\r\nSubject: {original.subject}\r\nFrom: {sender}\r\n"
    mail.attach(_part("text/rfc822-headers", headers))
    return mail.as_bytes()


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
