"""What the adapter makes of servers that are not there, not safe, not allowed, or not well-behaved."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from sync.adapters import smtp
from sync.adapters.smtp import ProviderSmtp
from sync.adapters.smtp_session import client_name
from sync.domain.body import Body
from sync.domain.errors import Declined, OutsideError, Throttled, Unclear
from sync.domain.mail import Address
from sync.domain.message import LEASE
from sync.domain.provider import Provider, Security, ServerReply
from tests.cloud.server import free_port
from tests.contracts.odd_server import OddServer, odd
from tests.contracts.smtp_stages import CREDENTIALS, LOCAL, SinkStage, email, provider, running_sink

ADA, GRETE = "ada@customer.example", "grete.müller@customer.example"
SMTP = ProviderSmtp("app.example", LOCAL)
AUTH = "250-odd\r\n250 AUTH PLAIN LOGIN"


def bare(server: OddServer, **changes: Any) -> Provider:
    """A server on this machine, without encryption or login."""
    given = {"host": "127.0.0.1", "username": "", "password": ""} | changes
    return provider(port=server.port, security="none", **given)


async def failure(asked: Provider, kind: type[OutsideError], by: ProviderSmtp = SMTP) -> Any:
    """How a check fails, and that a submission fails the same way."""
    with pytest.raises(OutsideError) as checked:
        await by.check(asked)
    with pytest.raises(OutsideError) as offered:
        async with by.submission(asked, email(), [ADA]):
            pass
    assert type(checked.value) is type(offered.value) is kind
    assert checked.value.stage == offered.value.stage
    return checked.value


@pytest.mark.parametrize(
    ("host", "networks"),
    [
        ("127.0.0.1", ()),
        ("localhost", ()),
        ("127.0.0.1", ("10.0.0.0/8", "::/0")),
        ("::ffff:127.0.0.1", ("::/0",)),
        ("0x7f.1", ()),
        ("2130706433", ()),
        ("169.254.169.254", ("127.0.0.0/8",)),
        ("0.0.0.0", ("127.0.0.0/8",)),
    ],
)
async def test_an_address_that_is_not_allowed_is_never_connected_to(host: str, networks: tuple[str, ...]) -> None:
    """However it is written; and the refusal shows no address that a name led to."""
    async with odd() as server:
        by = ProviderSmtp("app.example", [ip_network(network) for network in networks])
        declined = await failure(provider(host, server.port, "starttls"), Declined, by)
        assert server.connections == 0
    assert (declined.code, declined.stage) == ("provider_address_not_allowed", "address")
    assert "PROVIDER_ALLOWED_NETWORKS" in declined.detail


async def test_what_was_judged_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once: an answer that changes a moment later is never asked for (DNS rebinding)."""
    asked: list[str] = []
    async with odd() as server:

        async def resolved(_self: object, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
        await SMTP.check(bare(server, host="mail.example"))
        assert (asked, server.connections) == (["mail.example"], 1)


async def test_of_several_addresses_only_those_allowed_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; where one does not answer the next one is asked."""
    tried: list[str] = []
    async with odd() as server:

        async def resolved(_self: object, _host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
            found = ["10.0.0.1", "127.0.0.2", "192.168.0.1", "127.0.0.1"]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        connect = asyncio.SelectorEventLoop.sock_connect

        async def connecting(self: Any, sock: socket.socket, where: Any) -> None:
            tried.append(where[0])
            await connect(self, sock, where)

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
        monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connecting)
        await SMTP.check(bare(server))
    assert tried == ["127.0.0.2", "127.0.0.1"]


async def test_without_encryption_only_this_machine() -> None:
    """Also where the operator allows a private network, and whatever the host is called."""
    by = ProviderSmtp("app.example", [ip_network("0.0.0.0/0")])
    declined = await failure(provider("10.255.255.1", 25, "none"), Declined, by)
    assert declined.code == "provider_address_not_allowed"
    assert "without encryption" in declined.detail


async def test_nobody_there() -> None:
    """A name that leads nowhere, and a port that nobody listens on."""
    unknown = await failure(provider("nobody.invalid", 587, "starttls"), Unclear)
    assert (unknown.stage, unknown.detail) == ("address", "No server was found by the name nobody.invalid.")
    silent = await failure(provider("127.0.0.1", free_port(), "tls"), Unclear)
    assert silent.stage == "connect"
    assert "did not answer on port" in silent.detail
    assert "Connection refused" in silent.detail


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_nobody_vouches_for(security: Security) -> None:
    """Is not trusted, and neither name nor password are given away."""
    async with running_sink() as sink:
        unclear = await failure(SinkStage(sink).provider(security), Unclear)
        assert (unclear.stage, sink.messages) == ("tls", [])
        assert "certificate is not to be trusted" in unclear.detail


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_another_name(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate has to be the host's as the account wrote it, not that of the address it led to."""

    async def resolved(_self: object, _host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with running_sink() as sink:
        monkeypatch.setenv("SSL_CERT_FILE", str(sink.certificate_path))
        by = ProviderSmtp("app.example", LOCAL)
        await by.check(SinkStage(sink).provider(security, host="localhost"))
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
        unclear = await failure(SinkStage(sink).provider(security, host="mail.example"), Unclear, by)
    assert unclear.stage == "tls"
    assert "mail.example" in unclear.detail


async def test_no_starttls_is_no_way_on() -> None:
    """What would go unencrypted does not go at all."""
    async with odd({"EHLO": AUTH}) as server:
        unclear = await failure(provider("127.0.0.1", server.port, "starttls"), Unclear)
        assert set(server.verbs) == {"EHLO", "QUIT"}
    assert (unclear.stage, "no STARTTLS" in unclear.detail) == ("tls", True)


async def test_tls_at_a_server_that_speaks_none() -> None:
    """The wrong port for `tls` is told as such."""
    async with odd() as server:
        unclear = await failure(provider("127.0.0.1", server.port, "tls"), Unclear)
    assert unclear.stage == "tls"


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
    monkeypatch.setattr(smtp, "SUBMISSION_S", 0.5)
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


@pytest.fixture(autouse=True)
def no_secret_in_a_provider() -> Iterator[None]:
    """A provider can be logged without its password."""
    yield
    assert CREDENTIALS[1] not in repr(provider("x", 1, "tls"))
