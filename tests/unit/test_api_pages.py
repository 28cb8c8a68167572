"""The settings page as it is served: inside the CRM's frame only, loading nothing from elsewhere, and never stale."""

import re

import azure.functions as func
import pytest

from sync import api
from sync.api import pages
from sync.domain.errors import NotFound
from tests.unit.http_request import request

CRM = ("https://crm.example", "https://other.example:8443")


def asset(name: str, **headers: str) -> func.HttpResponse:
    return api.asset(request(route={"name": name}, headers={k.replace("_", "-"): v for k, v in headers.items()}))


def test_only_the_crm_may_frame_the_page() -> None:
    """https://www.w3.org/TR/CSP3/#directive-frame-ancestors: every origin it may come back to, and no other."""
    answer = api.settings_page(CRM)
    policy = dict(part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["frame-ancestors"] == " ".join(CRM)
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "X-Frame-Options" not in answer.headers
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_file_the_page_names_is_served() -> None:
    """With its media type; under the path that the page gives."""
    html = api.settings_page(CRM).get_body().decode()
    named = re.findall(r'(?:src|href)="([^"#:]+)"', html)
    assert named
    for path in named:
        assert path.startswith("assets/")
        assert asset(path.removeprefix("assets/")).status_code == 200
    assert {p.suffix for p in pages.PAGES.iterdir()} <= {".html", *pages.MEDIA_TYPES}


def test_a_file_is_sent_again_only_once_it_has_changed() -> None:
    """RFC 9110 13.1.2: the browser asks with the tag it has."""
    first = asset("email.css")
    assert first.mimetype == "text/css"
    assert first.headers["Cache-Control"] == "no-cache"
    again = asset("email.css", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.get_body()) == (304, b"")
    assert asset("email.css", If_None_Match='"older"').status_code == 200


@pytest.mark.parametrize(
    "name", ["", "none.js", "email.html", "../answers.py", "..", "/etc/passwd", "email.css/", ".css"]
)
def test_nothing_else_is_served(name: str) -> None:
    """Names are looked up, never followed as paths."""
    with pytest.raises(NotFound):
        asset(name)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc.def", "abc.def"),
        ("bearer abc.def ", "abc.def"),
        ("Basic abc", ""),
        ("abc.def", ""),
        ("", ""),
    ],
)
def test_the_page_proves_itself_by_a_header(header: str, token: str) -> None:
    """RFC 6750 2.1; no cookie is read, so that nothing can be done in somebody's name from another site."""
    assert api.settings_token(request(headers={"Authorization": header, "Cookie": "token=abc"})) == token
