"""A person's browser on its way through a sign-in: our link, Microsoft's pages, our callback, back in the CRM."""

from http.cookies import SimpleCookie
from typing import Literal
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx


class SignInError(Exception):
    """A step of the way answered with something a browser could not go on from."""


class Browser:
    """
    Follows no redirect by itself and carries each origin's cookies back to it.

    Secure cookies go over plain http to 127.0.0.1 too, as in Chromium and Firefox, to which loopback is trustworthy
    (https://www.w3.org/TR/secure-contexts/#is-origin-trustworthy); the cookie jar of httpx would keep them back.
    Paths and expiry of cookies are not imitated.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._cookies: dict[str, dict[str, str]] = {}

    async def get(self, url: str) -> httpx.Response:
        """One page; `Location` is not followed."""
        address = urlsplit(url)
        kept = self._cookies.setdefault(f"{address.scheme}://{address.netloc}", {})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())} if kept else {}
        answer = await self._http.get(url, headers=headers, follow_redirects=False)
        self._http.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            for name, cookie in SimpleCookie(line).items():
                if cookie["max-age"] == "0" or not cookie.value:
                    kept.pop(name, None)
                else:
                    kept[name] = cookie.value
        return answer

    async def redirected(self, url: str) -> str:
        """Where this page sends the browser; raises SignInError when it does not."""
        answer = await self.get(url)
        if not answer.has_redirect_location:
            raise SignInError(
                f"{url.partition('?')[0]} answered {answer.status_code} instead of a redirect: {answer.text}"
            )
        return urljoin(url, answer.headers["location"])


async def sign_in(
    http: httpx.AsyncClient,
    sign_in_url: str,
    entra_url: str,
    email: str,
    decision: Literal["accept", "decline"] = "accept",
) -> dict[str, str]:
    """
    Walk the whole way as the person with this address.

    sign_in_url: the link the CRM opened in the person's browser. entra_url: the root of the Entra ID emulator, whose
    `/_lab/sign-in` clicks through its pages.

    Returns the parameters the browser brought back to the CRM: `{"result": "ok", "completion_code": …}`.
    """
    browser = Browser(http)
    authorize_url = await browser.redirected(sign_in_url)
    clicked = await http.post(
        f"{entra_url}/_lab/sign-in", json={"authorize_url": authorize_url, "email": email, "decision": decision}
    )
    if clicked.is_error:
        raise SignInError(f"the sign-in pages refused: {clicked.text}")
    return dict(parse_qsl(urlsplit(await browser.redirected(clicked.json()["redirect_url"])).query))
