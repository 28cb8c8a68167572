"""
Microsoft Graph over HTTP: one request with a connection's token, and every answer that is not a success as one of our errors.

The ladder from status and code to error is `_raise_for`; sources: https://learn.microsoft.com/graph/errors and
https://learn.microsoft.com/graph/throttling. A read may be repeated on anything temporary; of a write only "throttled" says for
sure that nothing was done, so everything else that is not clear is `Unclear`.
"""

import base64
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from json import loads
from typing import Any, Protocol

import httpx

from sync.adapters.mailbox_room import Identity, MailboxRooms
from sync.domain import trouble
from sync.domain.connection import Connection
from sync.domain.errors import Declined, Gone, ReconnectNeeded, Throttled, Unclear

log = logging.getLogger(__name__)

#: Seconds for a whole answer to arrive; uploads and downloads of 4 MB included.
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
RETRY_AFTER_UNSAID = timedelta(seconds=10)
#: What every mailbox has and we may always read, as long as we may read at all.
INBOX = "/me/mailFolders/inbox"
IMMUTABLE_IDS = 'IdType="ImmutableId"'


class AccessTokens(Protocol):
    """Where tokens come from."""

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        """A token, another one than `refused`, with the `claims` that Graph asked for."""


class GraphClient:
    """Requests to Graph at `base_url` (with the version, without a trailing slash)."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, tokens: AccessTokens, rooms: MailboxRooms | None = None
    ) -> None:
        self._http = http
        self._base_url = base_url
        self._tokens = tokens
        self._rooms = rooms if rooms is not None else MailboxRooms()

    async def request(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request to the connection's mailbox; raises the OutsideError family."""
        async with self.stream(connection, method, path, params=params, json=json, headers=headers) as response:
            await _read(response)
            return response

    @contextlib.asynccontextmanager
    async def stream(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """As `request`, with the body of a success unread."""
        mailbox = connection.mailbox.identity
        async with self._rooms.place(mailbox):
            token = await self._tokens.access_token(connection)
            for more_tokens in (2, 1, 0):
                sent = {"Authorization": f"Bearer {token}", "Prefer": IMMUTABLE_IDS, **(headers or {})}
                async with self._sent(method, path, params, json, sent) as response:
                    self._heed(mailbox, response)
                    if response.status_code == 401 and more_tokens:
                        # The first other one may be another worker's, and as little good; the next is a new one then.
                        claims = claims_challenge(response.headers.get_list("WWW-Authenticate"))
                        other = await self._tokens.access_token(connection, refused=token, claims=claims)
                        if other != token:
                            token = other
                            continue
                    if response.is_success:
                        try:
                            yield response
                        except httpx.HTTPError as error:
                            raise Unclear(f"the answer broke off: {type(error).__name__}") from error
                        return
                    await _read(response)
                    await self._raise_if_shut_out(mailbox, response, token)
                    _raise_for(response)

    async def request_with(
        self, access_token: str, method: str, path: str, params: Mapping[str, str]
    ) -> httpx.Response:
        """One request with a token that belongs to no connection yet."""
        async with self._sent(method, path, params, None, {"Authorization": f"Bearer {access_token}"}) as response:
            await _read(response)
            if not response.is_success:
                _raise_for(response)
            return response

    async def upload(self, connection: Connection, url: str, content: bytes, start: int, total: int) -> None:
        """One piece of a file to an upload session's address, which carries its own authority."""
        end = start + len(content) - 1
        headers = {"Content-Range": f"bytes {start}-{end}/{total}", "Content-Type": "application/octet-stream"}
        mailbox = connection.mailbox.identity
        async with self._rooms.place(mailbox):
            try:
                response = await self._http.put(url, content=content, headers=headers, timeout=TIMEOUT)
            except httpx.HTTPError as error:
                raise Unclear(f"no answer to an upload: {type(error).__name__}") from error
            self._heed(mailbox, response)
        if response.status_code == 401:
            # About the address, which carries its own authority, not about the user's sign-in.
            raise Unclear("the upload session has ended")
        if not response.is_success:
            _raise_for(response)

    async def cancel_upload(self, connection: Connection, url: str) -> None:
        """
        End an upload session, if it is still there; one that can't be reached, or not now, ends by itself when its time is over.

        https://learn.microsoft.com/graph/outlook-large-attachments#cancel-an-upload-session
        """
        mailbox = connection.mailbox.identity
        with contextlib.suppress(httpx.HTTPError, Throttled):
            async with self._rooms.place(mailbox):
                self._heed(mailbox, await self._http.delete(url, timeout=TIMEOUT))

    async def _raise_if_shut_out(self, mailbox: Identity, response: httpx.Response, token: str) -> None:
        """A 403 may be about one item, or the permission was withdrawn: then the inbox is closed to us too."""
        code, message = _error_of(response)
        if not trouble.maybe_without_consent(response.status_code, code):
            return
        async with self._sent("GET", INBOX, {"$select": "id"}, None, {"Authorization": f"Bearer {token}"}) as inbox:
            self._heed(mailbox, inbox)
            if inbox.status_code == 403:
                raise ReconnectNeeded(message, cause=code, reason="consent_withdrawn")

    def _heed(self, mailbox: Identity, response: httpx.Response) -> None:
        """Where Graph says when to come back, nothing more is asked of the mailbox until then."""
        wait = retry_after(response.headers.get("Retry-After"))
        if response.status_code == 429:
            self._rooms.close(mailbox, wait or RETRY_AFTER_UNSAID)
        elif response.status_code == 503 and wait:
            self._rooms.close(mailbox, wait)

    @contextlib.asynccontextmanager
    async def _sent(
        self, method: str, path: str, params: Mapping[str, str] | None, json: object, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        request = self._http.build_request(
            method, self._base_url + path, params=params, json=json, headers=dict(headers), timeout=TIMEOUT
        )
        if json is None and method == "POST":
            request.headers["Content-Length"] = "0"  # /send wants it said
        try:
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise Unclear(f"no answer to {method}: {type(error).__name__}") from error
        try:
            yield response
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> None:
    try:
        await response.aread()
    except httpx.HTTPError as error:
        raise Unclear(f"the answer broke off: {type(error).__name__}") from error


def _raise_for(response: httpx.Response) -> None:
    """The ladder. Graph's words go to the CRM for a refused send, its request id to our log."""
    status = response.status_code
    code, message = _error_of(response)
    log.info(
        "Graph said no",
        extra={"status": status, "code": code, "graph_request_id": response.headers.get("request-id", "")},
    )
    reading = response.request.method == "GET"
    if status == 429 or (status == 503 and reading):
        raise Throttled(message, retry_after=retry_after(response.headers.get("Retry-After")) or RETRY_AFTER_UNSAID)
    if status == 507:  # no room in the mailbox: certainly not done, and trying again makes no room
        raise Declined(message, code=code, status=status)
    if status >= 500 or status == 408:
        raise Unclear(f"{status} {code}")
    if status == 401:
        claims = claims_challenge(response.headers.get_list("WWW-Authenticate"))
        raise ReconnectNeeded(message, cause=code, reason="sign_in_expired", claims=claims)
    if trouble.without_mailbox(code):
        raise ReconnectNeeded(message, cause=code, reason="mailbox_unavailable")
    if status in (404, 410):
        raise Gone(f"{code}: {message}")
    raise Declined(message, code=code, status=status)


def _error_of(response: httpx.Response) -> tuple[str, str]:
    try:
        error: Any = response.json()["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "UnknownError", f"HTTP {response.status_code}"


def claims_challenge(challenges: Sequence[str]) -> str:
    """
    What continuous access evaluation wants of the next token, as JSON; empty where the challenges ask for nothing.

    https://learn.microsoft.com/entra/identity-platform/claims-challenge: `error="insufficient_claims", claims="<base64>"`.
    """
    for challenge in challenges:
        found = re.search(r'\bclaims="([A-Za-z0-9+/=_-]+)"', challenge)
        if found is None or "insufficient_claims" not in challenge:
            continue
        encoded = found[1].replace("-", "+").replace("_", "/")
        try:
            text = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            is_object = isinstance(loads(text), dict)
        except ValueError:
            continue
        if is_object:
            return text
    return ""


def retry_after(header: str | None) -> timedelta | None:
    """A Retry-After header: seconds, decimal ones too, or an HTTP date (RFC 9110 10.2.3). None where it can't be read."""
    if not header:
        return None
    try:
        return timedelta(seconds=max(0.0, min(float(header), 86_400.0)))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
        return max(timedelta(), (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC))
    except (ValueError, TypeError):
        return None
