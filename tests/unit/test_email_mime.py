"""An email as bytes: another reader (Rust's mailparse) finds in it what was put in, and nothing can be slipped in."""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import fast_mail_parser
import pytest

from sync.adapters.mime import MAX_REFERENCES, as_bytes
from sync.domain.body import Body
from sync.domain.mail import Address
from sync.domain.outgoing import OutgoingFile
from sync.domain.provider import Email

DATE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLAIN = Email(
    message_id="<msg_1@crm.example>",
    date=DATE,
    sender=Address("offers@crm.example", "Offers"),
    to=(Address("ada@customer.example", "Ada"),),
    subject="Our offer",
    body=Body("<p>Dear Ada</p>", "Dear Ada"),
)
PDF = OutgoingFile("offer.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff.\n.\r\n")
LOGO = OutgoingFile("logo.png", "image/png", b"\x89PNG", inline=True, content_id="logo@crm")


def mail(**changes: Any) -> Email:
    """The plain email with some fields changed."""
    return replace(PLAIN, **changes)


def read(sent: Email) -> Any:
    """What the other reader finds."""
    return fast_mail_parser.parse_email(as_bytes(sent))


def people(found: list[Any]) -> list[tuple[str, str]]:
    """Addresses with names."""
    return [(one.address, one.display_name or "") for one in found]


def structure(sent: Email) -> Any:
    """The parts by type, nested."""

    def of(part: Any) -> Any:
        kind = part.get_content_type()
        return [kind, *map(of, part.get_payload())] if part.is_multipart() else kind

    return of(email.message_from_bytes(as_bytes(sent), policy=email.policy.SMTP))


def test_the_headers_of_an_email() -> None:
    """Each once, and no other; recipients of blind copies have no header."""
    sent = mail(
        cc=(Address("bob@customer.example"),),
        in_reply_to="<a@customer.example>",
        references=("<first@crm.example>", "<a@customer.example>"),
    )
    headers = read(sent).headers
    assert {name: values for name, values in headers.items() if name != "Content-Type"} == {
        "Date": ["Mon, 02 Mar 2026 09:00:00 +0000"],
        "From": ["Offers <offers@crm.example>"],
        "To": ["Ada <ada@customer.example>"],
        "Cc": ["bob@customer.example"],
        "Subject": ["Our offer"],
        "Message-ID": ["<msg_1@crm.example>"],
        "In-Reply-To": ["<a@customer.example>"],
        "References": ["<first@crm.example> <a@customer.example>"],
        "MIME-Version": ["1.0"],
    }


def test_the_same_email_is_the_same_bytes() -> None:
    """Each try hands over the same, which a server may recognise."""
    sent = mail(files=(PDF, LOGO))
    assert as_bytes(sent) == as_bytes(sent)
    assert b"Date: Mon, 02 Mar 2026 10:00:00 +0100\r\n" in as_bytes(
        mail(date=DATE.astimezone(timezone(timedelta(hours=1))))
    )


ALTERNATIVE = ["multipart/alternative", "text/plain", "text/html"]
RELATED = ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]]


@pytest.mark.parametrize(
    ("body", "files", "expected"),
    [
        (Body(None, "text"), (), "text/plain"),
        (Body("<p>html</p>", "text"), (), ALTERNATIVE),
        (Body("<p>html</p>", None), (), ALTERNATIVE),
        (Body(None, None), (), "text/plain"),
        (Body(None, "text"), (PDF,), ["multipart/mixed", "text/plain", "application/pdf"]),
        (Body("<p>html</p>", "text"), (PDF,), ["multipart/mixed", ALTERNATIVE, "application/pdf"]),
        (Body("<p>html</p>", "text"), (LOGO,), RELATED),
        (Body("<p>html</p>", "text"), (PDF, LOGO), ["multipart/mixed", RELATED, "application/pdf"]),
        (Body(None, "text"), (LOGO,), ["multipart/mixed", "text/plain", "image/png"]),
        (
            Body("<p>html</p>", "text"),
            (replace(LOGO, content_id=None),),
            ["multipart/mixed", ALTERNATIVE, "image/png"],
        ),
    ],
)
def test_where_each_part_goes(body: Body, files: tuple[OutgoingFile, ...], expected: Any) -> None:
    """Inline files beside the HTML that shows them, all others behind; text always."""
    assert structure(mail(body=body, files=files)) == expected


def test_text_is_made_of_html_alone() -> None:
    """Who reads plain text gets the words."""
    found = read(mail(body=Body("<h1>Grüße</h1><p>Dear Ada</p>", None)))
    assert found.text_plain[0].split() == ["Grüße", "Dear", "Ada"]


def test_files_arrive_byte_for_byte() -> None:
    """With name, type and place; what is inline keeps the id that the HTML calls it by."""
    found = read(mail(files=(PDF, LOGO))).attachments
    assert [(f.filename, f.mimetype, f.content, f.disposition, f.content_id) for f in found] == [
        ("logo.png", "image/png", LOGO.content, "inline", "logo@crm"),
        ("offer.pdf", "application/pdf", PDF.content, "attachment", None),
    ]


@pytest.mark.parametrize(
    ("claimed", "written"),
    [
        ("application/pdf", "application/pdf"),
        ("text/plain; charset=iso-8859-1", "text/plain"),
        ("multipart/mixed; boundary=x", "application/octet-stream"),
        ("Multipart/alternative", "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("text/plain\r\nX-Evil: 1", "text/plain"),
        ("image/png; name=x\r\nX-Evil: 1", "image/png"),
        ("tëxt/plain", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file(claimed: str, written: str) -> None:
    """As it is claimed, but for types that a reader would take apart further."""
    sent = as_bytes(mail(files=(replace(PDF, content_type=claimed),)))
    part = list(email.message_from_bytes(sent).walk())[-1]
    assert part.get_content_type() == written
    assert part.keys() == ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"]
    assert part.get_payload(decode=True) == PDF.content
    assert (part.get_content_charset() == "iso-8859-1") is ("charset" in claimed)


NAMES = [
    "",
    "Ada",
    "Ada Lovelace",
    'Doe, "J" (x) <y>',
    "back\\slash",
    "a@b.example",
    "Zoë Müller",
    "=?utf-8?Q?evil?=",
    "你好 👋🏽 " * 20,
    "x" * 500,
    "ünï" * 100,
    "many words " * 30 + "end",
    "two  spaces",
    "עברית",
    "a;b:c,d",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_come_through(name: str) -> None:
    """In From, To and Cc, among others, whatever their length and letters."""
    person = Address("p@customer.example", name)
    other = Address("q@customer.example", "Q")
    found = read(mail(sender=person, to=(other, person, other), cc=(person,)))
    expected = ("p@customer.example", name.strip())
    assert people([found.from_]) == [expected]
    assert people(found.to) == [("q@customer.example", "Q"), expected, ("q@customer.example", "Q")]
    assert people(found.cc) == [expected]


@pytest.mark.parametrize("subject", [*NAMES, "Re: [x] =?us-ascii?Q?a?= b", " leading", "trailing ", "a" * 998])
def test_subjects_come_through(subject: str) -> None:
    """Whatever their length and letters."""
    assert (read(mail(subject=subject)).subject or "") == subject


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "Angebot für Zoë.pdf",
        'a "quoted" name.pdf',
        "100%.pdf",
        "a;b=c.pdf",
        "x" * 251 + ".pdf",
        "报价" * 60,
        "a'b.pdf",
    ],
)
def test_file_names_come_through(name: str) -> None:
    """For two readers (RFC 2231)."""
    sent = mail(files=(replace(PDF, name=name),))
    assert [f.filename for f in read(sent).attachments] == [name]
    assert [p.get_filename() for p in email.message_from_bytes(as_bytes(sent), policy=email.policy.SMTP).walk()][
        -1
    ] == name


EVIL = [
    "\r\nBcc: evil@x.example",
    "\nBcc: evil@x.example",
    "\rBcc: e",
    "\x00",
    "\u2028Bcc: e",
    "\x85Bcc: e",
    "\ud800",
    "\r\n\r\nbody",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_header_can_be_slipped_in(evil: str) -> None:
    """Through no field; a line break in a name, a subject or a file name becomes a space."""
    sent = mail(
        subject=f"a{evil}",
        sender=Address("a@crm.example", f"a{evil}"),
        to=(Address("b@crm.example", f"b{evil}"),),
        in_reply_to=f"<a@x>{evil}",
        references=(f"<a{evil}>", "<good@x>", f"{evil}<b@x>"),
        files=(replace(LOGO, name=f"a{evil}", content_type=f"image/png{evil}", content_id=f"a{evil}"),),
    )
    whole = as_bytes(sent)
    parsed = email.message_from_bytes(whole)
    names = {name for part in parsed.walk() for name in part.keys()}  # noqa: SIM118 - a message is no dict
    assert names <= {
        *("Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"),
    }
    assert "<good@x>" in parsed["References"]
    assert all(32 <= byte < 127 or byte in b"\r\n" for byte in whole)
    assert structure(sent) == RELATED


@pytest.mark.parametrize(
    "wrong", ["nobody", "a b@x.example", "a@x.example\r\nBcc: e", "a@x.example>", "<a@x.example", "a@", "@x"]
)
def test_an_address_that_can_t_be_written(wrong: str) -> None:
    """Is told, in From, To and Cc; nothing half right is sent."""
    for changes in ({"sender": Address(wrong)}, {"to": (Address(wrong),)}, {"cc": (Address(wrong),)}):
        with pytest.raises(ValueError):
            as_bytes(mail(**changes))


@pytest.mark.parametrize("wrong", ["", "msg_1@crm.example", "<a b@x>", "<a>\r\nBcc: e", "<ü@x>", f"<{'x' * 1000}@x>"])
def test_an_email_without_a_message_id(wrong: str) -> None:
    """Is our own mistake: it could not be found again."""
    with pytest.raises(ValueError):
        as_bytes(mail(message_id=wrong))


def test_domains_are_written_in_ascii() -> None:
    """So that every server knows them; what stands before the @ needs SMTPUTF8, or is shown without being an address."""
    grete = Address("grete.müller@bücher.example", "Grete")
    with_utf8 = as_bytes(mail(to=(grete,)), utf8=True)
    assert "Grete\r\n <grete.müller@xn--bcher-kva.example>".encode() in with_utf8
    without = as_bytes(mail(to=(grete, Address("x@bücher.example"))))
    assert without.isascii()
    found = fast_mail_parser.parse_email(without)
    assert ("x@xn--bcher-kva.example", "") in people(found.to)
    assert "Grete grete.müller@xn--bcher-kva.example :;" in found.headers["To"][0]


def test_a_long_thread_keeps_its_beginning_and_its_end() -> None:
    """All ids up to a number, then the first and the latest; what is no id is left out."""
    ids = tuple(f"<{i}.{'x' * 60}@customer.example>" for i in range(MAX_REFERENCES + 5))
    assert read(mail(references=ids[:MAX_REFERENCES])).headers["References"] == [" ".join(ids[:MAX_REFERENCES])]
    kept = read(mail(references=ids)).headers["References"][0].split()
    assert (kept[0], kept[1], kept[-1], len(kept)) == (ids[0], ids[6], ids[-1], MAX_REFERENCES)
    assert "References" not in read(mail(references=("nonsense", "<a b@x>", f"<{'x' * 1000}@x>"))).headers
