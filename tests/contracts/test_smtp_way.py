"""The way to a provider's server: which addresses are connected to, and whom nothing is given: who can't prove to be the host."""

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import pytest

from sync.adapters.smtp import ProviderSmtp
from sync.domain.errors import Declined, Unclear
from sync.domain.provider import Security
from tests.cloud.server import Port
from tests.contracts.odd_server import SMTP, bare, failure, odd
from tests.contracts.smtp_stages import LOCAL, SinkStage, provider, running_sink

AUTH = "250-odd\r\n250 AUTH PLAIN LOGIN"


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
    nobody = Port()
    silent = await failure(provider("127.0.0.1", nobody.number, "tls"), Unclear)
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
