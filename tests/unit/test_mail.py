"""What of a subject, a header or an address counts as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.mail import Address, MailboxMessage, ThreadKeys, base_subject, message_ids, reply_subject

# Reply and forward marks by language, as mail programs write them.
MARKS = {
    "Arabic": ("رد", "إعادة توجيه"),
    "Chinese, simplified": ("回复", "答复", "转发"),
    "Chinese, traditional": ("回覆", "轉寄", "轉發"),
    "Danish, Norwegian": ("SV", "VS"),
    "Dutch": ("Antw", "Doorst"),
    "English": ("RE", "Re", "FW", "Fwd"),
    "Finnish": ("VS", "VL"),
    "French": ("RE", "TR", "Réf"),
    "German": ("AW", "WG", "Antwort"),
    "Greek": ("ΑΠ", "ΣΧΕΤ", "ΠΡΘ"),
    "Hebrew": ("השב", "הועבר"),
    "Hungarian": ("Vá", "Továbbítás"),
    "Icelandic": ("SV", "FS"),
    "Indonesian": ("BLS", "TRS"),
    "Italian": ("R", "RIF", "I"),
    "Japanese": ("返信", "転送"),
    "Korean": ("답장", "전달"),
    "Polish": ("Odp", "PD"),
    "Portuguese": ("RES", "ENC"),
    "Spanish": ("RE", "RV"),
    "Swedish": ("SV", "VB"),
    "Turkish": ("YNT", "İLT"),
    "Welsh": ("ATB", "YML"),
}


@pytest.mark.parametrize("mark", sorted({mark for marks in MARKS.values() for mark in marks}))
@pytest.mark.parametrize(
    "written", ["{}: Offer", "{}:Offer", "{} : Offer", " {}[2]: Offer", "{}：Offer", "{}: {}: Offer"]
)
def test_a_reply_mark_is_no_part_of_the_subject(mark: str, written: str) -> None:
    """The same subject is recognised whichever program answered, in its language and spelling."""
    assert base_subject(written.format(mark, mark)) == "offer"
    assert base_subject(written.format(mark.lower(), mark.upper())) == "offer"


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("", ""),
        ("Re:", ""),
        ("RE: FW: AW: ", ""),
        ("  Offer \t for  you\n", "offer for you"),
        ("OFFER", "offer"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Ｏｆｆｅｒ", "offer"),
        ("e\u0301tude", "étude"),
        ("Offer RE: price", "offer re: price"),
        ("Tax: 2026", "tax: 2026"),
        ("Research: results", "research: results"),
        ("Re Offer", "re offer"),
        ("[EXTERNAL] RE: Offer", "[external] re: offer"),
        ("Re: Re: 10:30 meeting", "10:30 meeting"),
        ("Re(2): Offer", "offer"),
    ],
)
def test_base_subject(subject: str, base: str) -> None:
    """Marks in front go, and what is left is folded; words that only look like a mark stay."""
    assert base_subject(subject) == base


@given(st.text())
def test_folding_twice_changes_nothing(subject: str) -> None:
    """A base subject that was stored and one that is made now compare equal."""
    assert base_subject(base_subject(subject)) == base_subject(subject)


@given(st.text(), st.sampled_from(["Re: ", "AW: ", "回复：", "R: "]))
def test_answering_does_not_change_the_base_subject(subject: str, mark: str) -> None:
    """Whatever the subject is, an answer to it has the same base."""
    assert base_subject(mark + subject) == base_subject(subject)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", ()),
        ("<a@x.example>", ("<a@x.example>",)),
        ("<a@x.example> <b@y.example>", ("<a@x.example>", "<b@y.example>")),
        ("<a@x.example><b@y.example>", ("<a@x.example>", "<b@y.example>")),
        ("<a@x.example>\r\n\t<b@y.example>", ("<a@x.example>", "<b@y.example>")),
        ("<a@x.example>, <b@y.example>", ("<a@x.example>", "<b@y.example>")),
        ("<a@x.example> (Kim's message of Monday)", ("<a@x.example>",)),
        ("Your message <a@x.example>", ("<a@x.example>",)),
        ("<b@x.example> <a@x.example> <b@x.example>", ("<b@x.example>", "<a@x.example>")),
        ("<A@x.example> <a@x.example>", ("<A@x.example>", "<a@x.example>")),
        ("a@x.example", ("<a@x.example>",)),
        ("  a@x.example \r\n", ("<a@x.example>",)),
        ("a@x.example b@y.example", ()),
        ("no id at all", ()),
        ("<no-at-sign>", ("<no-at-sign>",)),
        ("<>", ()),
        ("<a b@x.example>", ()),
        ("<<a@x.example>>", ("<a@x.example>",)),
        ("<a@x.example", ()),
    ],
)
def test_message_ids(header: str, found: tuple[str, ...]) -> None:
    """The ids of a header in order, each once, whatever stands between them."""
    assert message_ids(header) == found


@given(st.lists(st.from_regex(r"<[a-z0-9.]{1,9}@[a-z]{1,9}\.example>", fullmatch=True), unique=True))
def test_ids_survive_being_written(written: list[str]) -> None:
    """What a mail program folds over lines is read back whole."""
    assert message_ids("\r\n ".join(written)) == tuple(written)


def test_two_spellings_of_an_address_are_one() -> None:
    """Case and the space around do not make another person; the address is shown as it was written."""
    written = Address(" Kim@Customer.EXAMPLE", "Kim")
    assert written.key == Address("kim@customer.example").key
    assert written.address == " Kim@Customer.EXAMPLE"


def test_everybody_on_a_message_is_a_participant() -> None:
    """Sender, to, cc and bcc count; an entry without an address (a group, a broken header) does not."""
    a, b, c, d = (Address(f"{name}@x.example") for name in "abcd")
    message = MailboxMessage("AAk1", ThreadKeys(), "", a, to=(b, Address("", "Undisclosed")), cc=(c,), bcc=(d,))
    assert message.participants == {"a@x.example", "b@x.example", "c@x.example", "d@x.example"}
    assert MailboxMessage("AAk1", ThreadKeys(), "", None).participants == frozenset()


@pytest.mark.parametrize(
    ("subject", "answered"),
    [
        ("Offer", "RE: Offer"),
        ("RE: Offer", "RE: Offer"),
        ("re: offer", "re: offer"),
        ("AW: Angebot", "AW: Angebot"),
        ("Re[2]: Offer", "Re[2]: Offer"),
        ("FWD: Offer", "FWD: Offer"),
        ("Regarding: x", "RE: Regarding: x"),
        ("", "RE: "),
    ],
)
def test_a_reply_mark_is_put_once(subject: str, answered: str) -> None:
    """In whatever language it stands already."""
    assert reply_subject(subject) == answered
