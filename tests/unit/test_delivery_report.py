"""Reading delivery reports: those of real mail servers, and whatever else a stranger can send."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.delivery_report import (
    MAX_DETAIL_CHARS,
    MAX_RECIPIENTS,
    MAX_REPORT_BYTES,
    PARSED_BYTES,
    DeliveryReport,
    Failed,
    cleaned,
    merged,
    parse,
)
from sync.domain.message import Bounce
from tests.unit.sample_reports import EXCHANGE_ONLINE, GMAIL, ORIGINAL, POSTFIX, recipient, report

ADA = "ada@customer.example"
BOB = "bob@customer.example"


@pytest.mark.parametrize(
    ("mime", "original", "code", "detail"),
    [
        (
            EXCHANGE_ONLINE,
            ADA,
            "5.1.10",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        ),
        (POSTFIX, ADA, "5.2.2", "552 5.2.2 <ada@customer.example>: Mailbox over quota"),
        (
            GMAIL,
            "",
            "5.1.1",
            "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking "
            "the recipient's email address.",
        ),
    ],
    ids=["Exchange Online", "Postfix", "Gmail"],
)
def test_reports_of_real_servers(mime: bytes, original: str, code: str, detail: str) -> None:
    """Which email, which recipient, which code, and the server's words on one line."""
    assert parse(mime) == DeliveryReport(ORIGINAL, (Failed(ADA, original, code, detail),))


def failed_in(mime: bytes) -> list[tuple[str, str]]:
    """Address and code of each recipient that failed."""
    read = parse(mime)
    assert read is not None
    return [(failed.final or failed.original, failed.status_code) for failed in read.failed]


RECIPIENTS = [
    ("two failed", [recipient(), recipient(BOB, Status="5.2.2")], [(ADA, "5.1.1"), (BOB, "5.2.2")]),
    ("one of two failed", [recipient(action="relayed", Status="2.0.0"), recipient(BOB)], [(BOB, "5.1.1")]),
    ("delayed", [recipient(action="delayed", Status="4.4.7")], []),
    ("delivered", [recipient(action="delivered", Status="2.0.0")], []),
    ("relayed", [recipient(action="relayed", Status="2.0.0")], []),
    ("expanded", [recipient(action="expanded", Status="2.0.0")], []),
    ("in any case", [recipient(action="FAILED")], [(ADA, "5.1.1")]),
    ("without an action", [recipient(action="")], []),
    ("without a code", [recipient(Status="")], [(ADA, "")]),
    ("the code in the words", [recipient(Status="none", Diagnostic_Code="smtp; 550 5.7.1 no")], [(ADA, "5.7.1")]),
    ("a code with a comment", [recipient(Status="5.0.0 (permanent failure)")], [(ADA, "5.0.0")]),
    ("a code that is none", [recipient(Status="9.9.9")], [(ADA, "")]),
    ("angle brackets", [recipient(f"<{ADA}>")], [(ADA, "5.1.1")]),
    ("an address without its type", [recipient(Final_Recipient=ADA)], [(ADA, "5.1.1")]),
    ("only as written", [recipient(Final_Recipient="", Original_Recipient=f"rfc822;{BOB}")], [(BOB, "5.1.1")]),
    ("no address", [recipient(Final_Recipient="rfc822; nobody")], []),
    ("an endless address", [recipient("a" * 400 + "@x.example")], []),
    ("twice the same", [recipient(), recipient()], [(ADA, "5.1.1")]),
    ("none", [], []),
]


@pytest.mark.parametrize(
    ("blocks", "expected"), [case[1:] for case in RECIPIENTS], ids=[case[0] for case in RECIPIENTS]
)
def test_each_recipient_has_its_fate(blocks: list[str], expected: list[tuple[str, str]]) -> None:
    """Only what failed is a bounce; what can't be read of one recipient does not hide another."""
    assert failed_in(report(*blocks)) == expected


ORIGINALS = [
    ("the headers", report(recipient())),
    ("the whole email", report(recipient(), returned_as="message/rfc822")),
    ("only In-Reply-To", report(recipient(), returned="", headers=f"In-Reply-To: {ORIGINAL}\n")),
    ("headers before In-Reply-To", report(recipient(), headers="In-Reply-To: <other@x.example>\n")),
    ("headers without an id", report(recipient(), returned="Subject: x\n", headers=f"In-Reply-To: {ORIGINAL}\n")),
    ("another kind of multipart", report(recipient(), kind='multipart/mixed; boundary="b"')),
    ("an email that is a report itself", report(recipient(), returned_as="message/rfc822",
        returned=f"Message-ID: {ORIGINAL}\nContent-Type: multipart/report; boundary=c\n\n--c\nContent-Type: "
        f"message/delivery-status\n\nX: y\n\n{recipient(BOB)}\n--c--\n")),
]  # fmt: skip


@pytest.mark.parametrize("mime", [case[1] for case in ORIGINALS], ids=[case[0] for case in ORIGINALS])
def test_the_email_it_is_about(mime: bytes) -> None:
    """By what the report brings back of it, else by In-Reply-To."""
    assert parse(mime) == DeliveryReport(ORIGINAL, (Failed(ADA, "", "5.1.1", ""),))


NO_REPORTS = [
    ("nothing", b""),
    ("no mail", b"\x00\xff" * 100),
    ("ordinary mail", b"Message-ID: <a@x.example>\r\nIn-Reply-To: <b@x.example>\r\n\r\nHello"),
    ("about nothing", report(recipient(), returned="")),
    ("no status part", report(recipient()).replace(b"message/delivery-status", b"text/plain")),
    ("cut off", report(recipient())[:200]),
    ("an id that is none", report(recipient(), returned="Message-ID: hello\n")),
    ("too large", report(recipient()) + b"x" * MAX_REPORT_BYTES),
    ("no end of parts", b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5_000),
    (
        "deeply nested",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(3_000)),
    ),
]


@pytest.mark.parametrize("mime", [case[1] for case in NO_REPORTS], ids=[case[0] for case in NO_REPORTS])
def test_what_is_no_report(mime: bytes) -> None:
    """Whatever it is instead, it says nothing and raises nothing."""
    assert parse(mime) is None


def test_a_status_part_for_addresses_beyond_ascii_is_read() -> None:
    """The kind of RFC 6533, each recipient of it."""
    mime = report(recipient("zoë@kunde.example"), recipient(BOB))
    again = mime.replace(b"message/delivery-status", b"message/global-delivery-status")
    assert failed_in(again) == failed_in(mime) == [("zoë@kunde.example", "5.1.1"), (BOB, "5.1.1")]


def test_an_email_that_comes_back_whole_is_read_as_far_as_it_counts() -> None:
    """Megabytes of files behind the headers change nothing."""
    mime = report(
        recipient(), returned_as="message/rfc822", returned=f"Message-ID: {ORIGINAL}\n\n" + ("x" * 76 + "\n") * 50_000
    )
    assert len(mime) > 10 * PARSED_BYTES
    assert failed_in(mime) == [(ADA, "5.1.1")]


@pytest.mark.long
@pytest.mark.parametrize(
    "mime",
    [
        b"Content-Type: multipart/report" + b'; a="' * 1_000_000,
        b"Content-Type: multipart/report" + b"; a*0=b" * 1_000_000,
        b"Content-Type: message/delivery-status\r\n\r\n" + b"\r\n" * 3_000_000,
        b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 500_000,
    ],
    ids=["parameters", "parts of parameters", "blank lines", "boundaries"],
)
def test_what_is_made_to_be_slow_is_not(mime: bytes) -> None:
    """Megabytes on which the parser would spend minutes: nobody keeps a worker busy with one email."""
    began = time.process_time()
    assert parse(mime[:MAX_REPORT_BYTES]) is None
    assert time.process_time() - began < 10


def test_there_are_never_more_recipients_than_an_email_has() -> None:
    """A report of thousands is read as far as an email can go."""
    mime = report(*(recipient(f"a{number}@x.example") for number in range(3 * MAX_RECIPIENTS)))
    assert len(failed_in(mime)) == MAX_RECIPIENTS


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("  550 5.1.1\r\n\tno  such user ", "550 5.1.1 no such user"),
        ("a\x00b\x1b[31mc\x07", "a b [31mc"),
        ("evil\u202etxt.exe\u200b", "eviltxt.exe"),
        ("line\u2028break", "line break"),
        ("half \ud83d emoji", "half ? emoji"),
        ("x" * 5_000, "x" * MAX_DETAIL_CHARS),
        ("Почтовый ящик", "Почтовый ящик"),
    ],
)
def test_words_of_a_stranger_are_plain(words: str, shown: str) -> None:
    """One line, nothing that moves a cursor or turns text around, and not without end."""
    assert cleaned(words) == shown


@pytest.mark.parametrize(
    ("final", "original", "told"),
    [
        (ADA, "", ADA),
        ("ada@inside.example", ADA, ADA),
        ("ada@inside.example", "list@else.example", "ada@inside.example"),
        (ADA.upper(), "list@else.example", ADA.upper()),
        ("", ADA, ADA),
    ],
)
def test_a_bounce_names_the_address_that_was_sent_to(final: str, original: str, told: str) -> None:
    """A server that forwards fails with another address than ours; it says which was ours."""
    assert Failed(final, original, "5.1.1", "").bounce({ADA, BOB}).address == told


def test_bounces_add_up() -> None:
    """One for each address, in any case; what was said last counts."""
    first, second, later = Bounce(ADA, "4.4.7", "late"), Bounce(BOB, "5.1.1", "no"), Bounce(ADA.upper(), "5.1.1", "no")
    assert merged((first,), (second,)) == (first, second)
    assert merged((first, second), (later,)) == (later, second)
    assert merged(merged((first,), (second,)), (second,)) == (first, second)


pieces = st.sampled_from(
    [
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
        b"Content-Type: message/delivery-status\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/rfc822-headers\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Message-ID: <offer@crm.example>\r\n",
        b"In-Reply-To: <offer@crm.example>\r\n",
        b"Final-Recipient: rfc822; ada@customer.example\r\n",
        b"Final-Recipient: =?utf-8?q?=FF?=\r\n",
        b"Action: failed\r\n",
        b"Status: 5.1.1\r\n",
        b"Diagnostic-Code: smtp; 550\r\n \xff\xfe\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
    ]
) | st.binary(max_size=30)


@given(st.lists(pieces, max_size=40).map(b"".join))
def test_whatever_comes_it_never_raises(mime: bytes) -> None:
    """And what it does tell is bounded and plain."""
    read = parse(mime)
    if read is not None:
        assert read.original_message_id.startswith("<")
        assert all(len(f.detail) <= MAX_DETAIL_CHARS and f.detail.isprintable() for f in read.failed)


@given(st.text(max_size=2_000))
def test_cleaned_words_stay_clean(words: str) -> None:
    """Bounded, printable, storable, and cleaning them again changes nothing."""
    once = cleaned(words)
    assert len(once) <= MAX_DETAIL_CHARS
    assert cleaned(once) == once
    assert once.encode().decode() == once
