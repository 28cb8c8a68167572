"""A provider's values: who may stand in From, and a server's words fit to be shown."""

from dataclasses import replace

import pytest

from sync.domain.mail import Address
from sync.domain.provider import MAX_WORDS_CHARS, Provider, ServerReply

PROVIDER = Provider(
    "acme",
    "smtp.example",
    587,
    "starttls",
    Address("offers@other.example", "Offers"),
    ("crm.example", "xn--bcher-kva.example"),
    password="hunter2",
)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("offers@other.example", True),
        ("Offers@OTHER.example", True),
        ("anybody@crm.example", True),
        (" anybody@CRM.example ", True),
        ("anybody@bücher.example", True),
        ("anybody@BÜCHER.example", True),
        ("anybody@xn--bcher-kva.example", True),
        ("sales@other.example", False),
        ("anybody@sub.crm.example", False),
        ("anybody@evilcrm.example", False),
        ("anybody@crm.example.evil.example", False),
        ("anybody@crm.example@evil.example", False),
        ("crm.example", False),
        ("@crm.example", False),
        ("a@evil.example@crm.example", False),
        ("anybody@", False),
        ("", False),
        ("a@b c", False),
    ],
)
def test_who_may_stand_in_from(address: str, *, may: bool) -> None:
    """The provider's own address, and any of its domains, however the domain is written; nothing that only looks alike."""
    assert PROVIDER.may_send_as(address) is may
    alone = replace(PROVIDER, domains=())
    assert alone.may_send_as(address) is (address.lower() == "offers@other.example")


def test_a_provider_can_be_logged() -> None:
    """Its password is not shown."""
    assert "hunter2" not in f"{PROVIDER} {[PROVIDER]!r}"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("5.1.1 No such user", "5.1.1 No such user"),
        ("5.7.8 Wrong\npassword\r\n\tagain", "5.7.8 Wrong password again"),
        ("a\x00b\x1b[31mc\u2028d\u202ee", "a b [31mc d e"),
        ("bad \udcff byte", "bad byte"),
        ("Grüße 你好", "Grüße 你好"),
        ("x" * 5_000, "x" * MAX_WORDS_CHARS),
    ],
)
def test_a_servers_words_are_made_fit_to_be_shown(words: str, kept: str) -> None:
    """On one line, without what could steer a terminal or a log, and not longer than is kept."""
    assert ServerReply.of(550, words).words == kept


def test_what_a_reply_says() -> None:
    """The code and the words; 5yz is for good."""
    assert str(ServerReply(550, "5.1.1 No")) == "550 5.1.1 No"
    assert str(ServerReply(550, "")) == "550"
    assert ServerReply(550, "").permanent
    assert not ServerReply(450, "").permanent
