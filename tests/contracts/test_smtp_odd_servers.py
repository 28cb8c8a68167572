"""What the adapter makes of servers that are not well-behaved, and what it says to them."""

from typing import Any

import pytest

from sync.adapters import smtp
from sync.adapters.smtp_session import client_name
from sync.domain.body import Body
from sync.domain.errors import Declined, OutsideError, Throttled, Unclear
from sync.domain.mail import Address
from sync.domain.message import LEASE
from sync.domain.provider import ServerReply
from tests.contracts.odd_server import ADA, SMTP, OddServer, bare, failure, odd
from tests.contracts.smtp_stages import email

GRETE = "grete.müller@customer.example"
AUTH = "250-odd\r\n250 AUTH PLAIN LOGIN"


@pytest.mark.parametrize("command", ["", "EHLO", "AUTH", "MAIL", "RCPT"])
async def test_a_server_that_never_answers(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has an end, at each step; nothing was sent."""
    monkeypatch.setattr(smtp, "OFFER_S", 0.3)
    async with odd({"EHLO": AUTH, "AUTH": "235 ok", command: "…"}) as server:
        with pytest.raises(Unclear, match="no answer in time"):
            async with SMTP.submission(bare(server, username="u", password="p"), email(), [ADA]):
                pass
        assert "DATA" not in server.verbs


@pytest.mark.parametrize(
    ("answers", "kind", "stage", "words"),
    [
        ({"": "554 5.7.1 Your address is blocked"}, Declined, "server", "554 5.7.1 Your address is blocked"),
        ({"": "421 4.3.2 Too busy"}, Throttled, "server", "421 4.3.2 Too busy"),
        ({"": "hello"}, Unclear, "connect", "none of SMTP"),
        ({"EHLO": "550 5.0.0 Go away"}, Declined, "server", "550 5.0.0 Go away"),
        ({"": None}, Unclear, "connect", "the connection was lost"),
        ({"EHLO": "250-odd\r\n250 AUTH XOAUTH2"}, Declined, "login", "offers no login"),
        ({"EHLO": AUTH, "AUTH": "535-5.7.8 Wrong\x07\r\n535 5.7.8 password\t!"}, Declined, "login", "535 5.7.8 Wrong"),
        ({"EHLO": AUTH, "AUTH": None}, Unclear, "login", "broke off"),
        ({"EHLO": AUTH, "AUTH": "535 " + "x" * 5_000}, Declined, "login", "x" * 400),
    ],
)
async def test_what_a_server_says_before_any_email(
    answers: dict[str, str | None], kind: type[OutsideError], stage: str, words: str
) -> None:
    """Is told with how far we came, on one line, without control characters, cut to what is kept."""
    async with odd(answers) as server:
        failed = await failure(bare(server, username="u", password="p"), kind)
    assert (failed.stage, words in failed.detail) == (stage, True)
    assert failed.detail.isprintable()
    assert len(failed.detail) < 600


async def test_a_wrong_password_is_tried_once() -> None:
    """One try is one try, or accounts get locked; a method that the server turns out not to know is no try."""
    async with odd({"EHLO": AUTH, "AUTH": "535 5.7.8 no"}) as server:
        with pytest.raises(Declined):
            await SMTP.check(bare(server, username="u", password="p"))
        assert server.verbs.count("AUTH") == 1
    async with odd({"EHLO": AUTH, "AUTH": "504 5.5.4 unknown"}) as server:
        with pytest.raises(Declined, match="504"):
            await SMTP.check(bare(server, username="u", password="p"))
        assert server.verbs.count("AUTH") == 2


async def handed_over(server: OddServer, **changes: Any) -> None:
    async with SMTP.submission(bare(server), email(**changes), [ADA]) as offered:
        await offered.hand_over()


@pytest.mark.parametrize("answer", [None, "250 what?", "451 4.3.0 Later"])
async def test_an_email_that_never_began(answer: str | None) -> None:
    """Cut, or not answered with 354, before any of the email was handed over: surely not done, to be tried again."""
    async with odd({"DATA": answer}) as server:
        with pytest.raises(Throttled):
            await handed_over(server)
        assert server.heard[-1] in ("DATA", "QUIT")


@pytest.mark.parametrize(("answer", "kind"), [(None, Unclear), ("hm", Unclear), ("552 5.3.4 Too big", Declined)])
async def test_an_email_that_was_all_there(answer: str | None, kind: type[OutsideError]) -> None:
    """Only the server's clear word says what became of it."""
    async with odd({".": answer}) as server:
        with pytest.raises(kind):
            await handed_over(server)
        assert "." in server.heard


async def test_an_email_without_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole submission has an end, whatever was used up before the email."""
    monkeypatch.setattr(smtp, "SUBMISSION_S", 2)  # what comes before the email takes some of it on a busy machine
    async with odd({".": "…"}) as server:
        with pytest.raises(Unclear, match="no answer in time"):
            await handed_over(server)
    async with odd({"DATA": "…"}) as server:
        with pytest.raises(Throttled, match="no answer in time"):
            await handed_over(server)


async def test_a_server_that_goes_between_two_recipients() -> None:
    """421 takes back what was accepted before: nothing is handed over."""
    async with odd({"RCPT": "421 4.3.2 Shutting down"}) as server:
        with pytest.raises(Throttled):
            await handed_over(server)
        assert "DATA" not in server.verbs


async def test_nobody_accepted_takes_the_offer_back() -> None:
    """The transaction is reset and the connection ended politely."""
    async with odd({"RCPT": "550 5.1.1 Unknown"}) as server:
        async with SMTP.submission(bare(server), email(), [ADA]) as offered:
            assert offered.refused == {ADA: ServerReply(550, "5.1.1 Unknown")}
        assert server.verbs[-2:] == ["RSET", "QUIT"]


async def test_what_is_said_on_the_wire() -> None:
    """Our own name, the size, plain envelope addresses; a line that is one dot does not end the email (RFC 5321 4.5.2)."""
    async with odd() as server:
        await handed_over(server, body=Body(None, "one\n.\n.two\nend"))
        assert server.heard[0] == "EHLO app.example"
        (mail,) = [line for line in server.heard if line.startswith("MAIL")]
        assert mail.startswith("MAIL FROM:<offers@news.example> SIZE=")
        assert "RCPT TO:<ada@customer.example>" in server.heard
        assert "..two" in server.heard
        assert server.heard[-2:] == [".", "QUIT"]


async def test_letters_beyond_ascii_at_a_server_that_takes_none() -> None:
    """The recipient is refused and others are not; a sender like that can't send at all. Names and domains are no matter."""
    async with odd() as server:
        asked = email(to=(Address(ADA, "Ada"), Address(GRETE, "Grete")))
        async with SMTP.submission(bare(server), asked, [ADA, GRETE, "x@bücher.example"]) as offered:
            assert offered.accepted == (ADA, "x@bücher.example")
            assert offered.refused == {GRETE: smtp.NO_SMTPUTF8}
            await offered.hand_over()
        assert all(line.isascii() for line in server.heard)
        assert "RCPT TO:<x@xn--bcher-kva.example>" in server.heard
        with pytest.raises(Declined) as declined:
            await handed_over(server, sender=Address("münz@news.example"))
    assert (declined.value.code, declined.value.status) == ("smtputf8_not_offered", 553)


@pytest.mark.parametrize(("recipients", "asked_for"), [([ADA], False), ([GRETE], True)])
async def test_smtputf8_is_asked_for_only_where_it_is_needed(recipients: list[str], asked_for: bool) -> None:
    """A server may offer it and the next one not: an email that can do without it gets further."""
    async with odd({"EHLO": "250-odd\r\n250-8BITMIME\r\n250 SMTPUTF8"}) as server:
        async with SMTP.submission(bare(server), email(), recipients) as offered:
            assert offered.accepted == tuple(recipients)
        (mail,) = [line for line in server.heard if line.startswith("MAIL")]
        assert mail.endswith(" BODY=8BITMIME SMTPUTF8") is asked_for


@pytest.mark.parametrize("wrong", ["a b@x.example", "a@x.example>\r\nRCPT TO:<b@x.example", "nobody", "a@-x.example"])
async def test_an_address_that_can_t_be_written_is_refused(wrong: str) -> None:
    """It breaks out of no command."""
    async with odd() as server:
        async with SMTP.submission(bare(server), email(), [wrong, ADA]) as offered:
            assert (offered.accepted, offered.refused) == ((ADA,), {wrong: smtp.NO_ADDRESS})
        assert server.verbs.count("RCPT") == 1
        with pytest.raises(Declined, match=r"5\.1\.3"):
            await handed_over(server, sender=Address(wrong))


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://sync.example/x", "sync.example"),
        ("https://Bücher.example", "xn--bcher-kva.example"),
        ("http://127.0.0.1:7071", "[127.0.0.1]"),
        ("http://[::1]:7071", "[IPv6:::1]"),
        ("http://localhost:1", "localhost"),
    ],
)
def test_our_own_name(base_url: str, name: str) -> None:
    """The name that the app is reached by, or its address in the form servers know."""
    assert client_name(base_url) == name


def test_all_times_fit_into_the_lease_of_a_message() -> None:
    """Who lost the lease has nothing under way any more."""
    assert LEASE.total_seconds() > smtp.SUBMISSION_S + 3 * 2
    assert smtp.OFFER_S < smtp.SUBMISSION_S
