"""
The way to an account's own provider: its address, a connection, STARTTLS (RFC 3207) or TLS (RFC 8314), and AUTH (RFC 4954), by
aiosmtplib (https://aiosmtplib.readthedocs.io).

The account chooses the host, so its name is resolved here, each address judged (`domain/server_address.py`), and the connection
opened to just the address that was judged: a name that leads elsewhere a moment later leads nowhere. The certificate has to be
the host's all the same.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from urllib.parse import urlsplit

import aiosmtplib

from sync.domain import server_address
from sync.domain.errors import Declined, OutsideError, Throttled, Unclear
from sync.domain.internet_name import host_name
from sync.domain.provider import Provider, ServerReply, Stage
from sync.domain.server_address import Network

#: One address of several: the next one may answer.
CONNECT_S = 10.0
GOODBYE_S = 2.0

_WHERE = {
    False: ": none of them is on the public internet or in one of PROVIDER_ALLOWED_NETWORKS",
    True: ": without encryption, only this machine itself may be one, where PROVIDER_ALLOWED_NETWORKS has it",
}


@dataclass
class Way:
    """How far we came with a provider."""

    provider: Provider
    stage: Stage = "address"

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever goes wrong, as an OutsideError that knows how far we came."""
        try:
            yield
        except OutsideError as error:
            error.stage = error.stage or self.stage
            raise
        except (aiosmtplib.SMTPException, OSError) as error:
            failure = self._failure(error)
            failure.stage = self.stage
            raise failure from error

    def _failure(self, error: Exception) -> OutsideError:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            if isinstance(error, aiosmtplib.SMTPConnectError):
                self.stage = "server"  # it answered, and that was its word
            return refusal(ServerReply.of(error.code, error.message))
        host, port, reason = self.provider.host, self.provider.port, reason_of(error)
        match self.stage:
            case "address" | "connect":
                return Unclear(f"{host} did not answer on port {port}: {reason}.")
            case "tls":
                return Unclear(f"There could be no encrypted connection with {host} on port {port}: {reason}.")
            case _:
                return Unclear(f"The connection with {host} on port {port} broke off: {reason}.")


class Sessions:
    """
    Connections on which emails may be offered.

    client_name: what we call ourselves to servers (RFC 5321 4.1.1.1). allowed_networks: where a provider may be although that is
    not on the public internet.
    """

    def __init__(self, client_name: str, allowed_networks: Collection[Network]) -> None:
        self._client_name = client_name
        self._allowed_networks = allowed_networks

    @asynccontextmanager
    async def open(self, way: Way) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection on which an email may be offered, as long as the context lasts."""
        provider = way.provider
        client = aiosmtplib.SMTP(
            hostname=provider.host,
            sock=await self._connected(way),
            use_tls=provider.security == "tls",
            start_tls=False,
            tls_context=self._tls,
            local_hostname=self._client_name,
            timeout=None,
        )
        try:
            way.stage = "tls" if provider.security == "tls" else "connect"
            await client.connect()
            way.stage = "server"
            await client.ehlo()
            if provider.security == "starttls":
                way.stage = "tls"
                if not client.supports_extension("starttls"):
                    # Perhaps somebody on the way cut it out of the answer (RFC 3207 6), so that another time may be better.
                    raise Unclear(f"{provider.host} offers no STARTTLS on port {provider.port}.")
                await client.starttls()
                await client.ehlo()
            if provider.username:
                way.stage = "login"
                await _log_in(client, provider)
            way.stage = "server"
            yield client
        finally:
            await _say_goodbye(client)

    async def _connected(self, way: Way) -> socket.socket:
        """A socket connected to an address of the host that a provider may be at."""
        loop, host = asyncio.get_running_loop(), way.provider.host
        try:
            found = await loop.getaddrinfo(host, way.provider.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise Unclear(f"No server was found by the name {host}.") from error
        places = [place for place in found if self._is_allowed(str(place[4][0]), way.provider)]
        if not places:
            raise Declined(
                f"{host} has no address where a provider may be{_WHERE[way.provider.security == 'none']}.",
                code="provider_address_not_allowed",
                status=0,
            )
        way.stage = "connect"
        failure: OSError = TimeoutError()
        for family, kind, protocol, _, where in places:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                async with asyncio.timeout(CONNECT_S):
                    await loop.sock_connect(sock, where)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    def _is_allowed(self, address: str, provider: Provider) -> bool:
        read = server_address.read(address)
        if provider.security == "none" and not read.is_loopback:
            return False
        return server_address.is_allowed(read, self._allowed_networks)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def client_name(base_url: str) -> str:
    """What this app calls itself to servers: the host it is reached at, or that address as a literal (RFC 5321 4.1.3)."""
    host = host_name(urlsplit(base_url).hostname or "")
    try:
        address = server_address.read(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


async def _log_in(client: aiosmtplib.SMTP, provider: Provider) -> None:
    """Log in by the first method that both sides know. Only one that the server turns out not to know is followed by another."""
    # aiosmtplib's own `login` would try a wrong password with each method, and count as several attacks.
    methods = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    unknown: aiosmtplib.SMTPAuthenticationError | None = None
    for name, log_in in methods.items():
        if name not in client.server_auth_methods:
            continue
        try:
            await log_in(provider.username, provider.password)
        except aiosmtplib.SMTPAuthenticationError as error:
            if error.code != 504:  # RFC 4954 4: mechanism not supported
                raise
            unknown = error
        else:
            return
    if unknown is not None:
        raise unknown
    raise Declined(
        f"{provider.host} offers no login with a user name and a password on port {provider.port}.",
        code="provider_login_not_offered",
        status=0,
    )


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """End the connection, politely if that takes but a moment."""
    try:
        if client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError):
                async with asyncio.timeout(GOODBYE_S):
                    await client.quit()
    finally:
        cut(client)


def cut(client: aiosmtplib.SMTP) -> None:
    """End the connection now; what was not sent yet is not sent any more."""
    if isinstance(client.transport, asyncio.WriteTransport):
        client.transport.abort()
    client.close()


def refusal(answer: ServerReply) -> OutsideError:
    """What a server's no means (RFC 5321 4.2.1)."""
    if 500 <= answer.code < 600:
        return Declined(str(answer), code=f"smtp_{answer.code}", status=answer.code)
    if 400 <= answer.code < 500:
        return Throttled(str(answer), retry_after=timedelta())
    return Unclear(f"The server's answer is none of SMTP: {answer}")


def reason_of(error: Exception) -> str:
    """Why, in words: what TLS, the network or the library says of it."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS there, or none that is safe"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)  # the error's own words may name the address
    return "the connection was lost"
