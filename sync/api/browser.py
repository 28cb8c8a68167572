"""The browser's side of a sign-in: the binding cookie, redirects, and pages for a person."""

import html
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

import azure.functions as func

from sync.api.answers import SAFE_HEADERS

#: The binding cookie lives as long as a link.
COOKIE_LIFETIME = timedelta(minutes=10)


def cookie_name(public_base_url: str) -> str:
    """`__Host-` wants https; on the local cloud, which has none, the prefix would make browsers refuse the cookie."""
    return "__Host-sign_in" if public_base_url.startswith("https:") else "sign_in"


def binding_of(req: func.HttpRequest, public_base_url: str) -> str:
    """The binding secret in the browser's cookie; empty where there is none."""
    wanted = cookie_name(public_base_url)
    for part in req.headers.get("Cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return str(value)
    return ""


def redirect(location: str, binding: str, public_base_url: str) -> func.HttpResponse:
    """302, with the binding cookie set, or cleared where there is no binding secret."""
    lifetime_s = int(COOKIE_LIFETIME.total_seconds()) if binding else 0
    secure = "; Secure" if public_base_url.startswith("https:") else ""
    cookie = f"{cookie_name(public_base_url)}={binding}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{secure}"
    return func.HttpResponse(
        status_code=int(HTTPStatus.FOUND),
        headers=SAFE_HEADERS | {"Location": location, "Set-Cookie": cookie},
        mimetype="text/plain",
    )


def page(title: str, words: str, *, status: int = HTTPStatus.OK) -> func.HttpResponse:
    """A page for a person."""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>:root{{color-scheme:light dark}}h1{{font-size:1.4rem}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem}}</style></head>
<body><main><h1>{html.escape(title)}</h1><p>{html.escape(words)}</p></main></body></html>
"""
    return func.HttpResponse(text, status_code=int(status), headers=SAFE_HEADERS, mimetype="text/html", charset="utf-8")


def approved_sign_in(answer: Mapping[str, str]) -> str:
    """The sign-in whose administrator's consent link came back with a yes; empty where the answer was no."""
    return answer.get("state", "") if _is_yes(answer) else ""


def _is_yes(answer: Mapping[str, str]) -> bool:
    return answer.get("admin_consent", "").casefold() == "true" and "error" not in answer


def admin_consent_page(answer: Mapping[str, str]) -> func.HttpResponse:
    """What an administrator sees who came back from Microsoft's consent page."""
    if _is_yes(answer):
        return page(
            "Thank you", "Your organisation has approved the app. Your colleagues can connect their mailboxes now."
        )
    return page(
        "Not approved",
        "Nothing was approved. Your colleagues can't connect their mailboxes before an administrator does.",
    )
