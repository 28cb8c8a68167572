"""Whatever an email holds, another reader (Rust's mailparse) finds it again."""

from datetime import UTC, datetime

import fast_mail_parser
from hypothesis import given
from hypothesis import strategies as st

from sync.adapters.mime import as_bytes
from sync.domain.body import Body
from sync.domain.mail import Address
from sync.domain.outgoing import OutgoingFile
from sync.domain.provider import Email
from tests.unit.test_email_mime import people

#: Every character but lone surrogates, which no text of ours holds.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
#: Text for a header: without what ends a line.
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300)
LOCAL = st.from_regex(r"[a-z0-9!#$%&'*+=?^_`{|}~-]{1,20}(\.[a-z0-9]{1,9}){0,3}", fullmatch=True)
ADDRESS = st.builds(Address, st.builds("{}@{}.example".format, LOCAL, st.sampled_from(["crm", "bücher", "x-1"])), LINE)
FILE = st.builds(
    OutgoingFile,
    name=LINE.filter(lambda name: name.strip() != ""),
    content_type=st.sampled_from(["application/pdf", "image/png", "application/zip"]),
    content=st.binary(max_size=300),
    inline=st.booleans(),
    content_id=st.none() | st.from_regex(r"[a-z0-9.]{1,30}@crm", fullmatch=True),
)
EMAILS = st.builds(
    Email,
    message_id=st.just("<msg_1@crm.example>"),
    date=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=0)
    ),
    sender=ADDRESS,
    to=st.lists(ADDRESS, min_size=1, max_size=5).map(tuple),
    subject=LINE,
    body=st.builds(Body, TEXT | st.none(), TEXT),
    cc=st.lists(ADDRESS, max_size=3).map(tuple),
    files=st.lists(FILE, max_size=3).map(tuple),
)


def lines(text: str) -> list[str]:
    """The lines of a text, however they end; without empty ones at its end, which a mail body may gain."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


@given(EMAILS)
def test_what_another_reader_finds_is_what_was_put_in(sent: Email) -> None:
    """Subject, names, addresses, both bodies and every file, whatever letters they are of; in lines that servers take."""
    whole = as_bytes(sent)
    found = fast_mail_parser.parse_email(whole)

    def expected(address: Address) -> tuple[str, str]:
        return address.address.replace("bücher", "xn--bcher-kva"), address.name.strip()

    assert (found.subject or "") == sent.subject
    assert people([found.from_]) == [expected(sent.sender)]
    assert people(found.to) == [expected(a) for a in sent.to]
    assert people(found.cc) == [expected(a) for a in sent.cc]
    assert found.date_parsed == sent.date
    assert [lines(text) for text in found.text_plain] == [lines(sent.body.text or "")]
    assert [lines(text) for text in found.text_html] == ([lines(sent.body.html)] if sent.body.html is not None else [])
    assert sorted((f.filename, f.content) for f in found.attachments) == sorted((f.name, f.content) for f in sent.files)
    assert whole.isascii()
    assert all(len(line) <= 998 for line in whole.split(b"\r\n"))
    assert all(len(line) <= 76 for line in whole.split(b"\r\n") if b"=?utf-8?" in line)  # RFC 2047 2
    assert b"\n" not in whole.replace(b"\r\n", b"")
    assert whole.endswith(b"\r\n")
