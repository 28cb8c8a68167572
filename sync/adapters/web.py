"""Asking an address whether it is there, as anybody could: without a token, and without following it elsewhere."""

import httpx

from sync.domain.check import Answered

TIMEOUT_S = 8.0
#: Of an answer, what is read.
MAX_BYTES = 1024


class PlainWeb:
    """Keeps `flows.ports.Web`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, method: str, url: str) -> Answered:
        """One request without a body; raises httpx.HTTPError where no answer came."""
        async with self._http.stream(method, url, timeout=TIMEOUT_S, follow_redirects=False) as response:
            read = b""
            async for piece in response.aiter_bytes():
                read += piece
                if len(read) >= MAX_BYTES:
                    break
            return Answered(response.status_code, read[:MAX_BYTES].decode(errors="replace"))
