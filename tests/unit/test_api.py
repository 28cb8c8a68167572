"""
The HTTP edge: what is read of a request, and answers that are not JSON.

JSON is in test_api_shapes.py, errors are in test_api_errors.py.
"""

import json
import re
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from sync import api
from sync.api import browser, requests
from sync.domain.attachment_rule import clean_name
from sync.domain.errors import IdempotencyKeyMissing, InvalidRequest, MalformedRequest, PayloadTooLarge
from tests.unit.http_request import request
from tests.unit.sample_mail import attachment

# Reading.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nothing",
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b"null",
        b"[]",
        b'"{}"',
        b"1",
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b'{"a": "\\ud83d"}',
        b'{"\\uDC00": 1}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": ' * 100_000,
    ],
)
def test_a_body_that_is_no_json_object(body: bytes) -> None:
    """RFC 8259 in UTF-8 and nothing else; what we could not write again is refused when it is read."""
    with pytest.raises(MalformedRequest):
        api.json_body(request(body))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (' {"ä": "你"} '.encode(), {"ä": "你"}),
        (b'{"a": "\\ud83d\\udc4b"}', {"a": "👋"}),
        (b'{"a": "\\\\ud83d"}', {"a": "\\ud83d"}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
    ],
)
def test_a_body_that_is_one(body: bytes, value: object) -> None:
    """Any character may be written out or escaped."""
    assert api.json_body(request(body)) == value


def test_a_body_has_a_limit() -> None:
    """The limit is exact to the byte, and is judged before anything is parsed."""
    assert api.json_body(request(b"{}".ljust(requests.MAX_BODY_BYTES))) == {}
    with pytest.raises(PayloadTooLarge):
        api.json_body(request(b"{" * (requests.MAX_BODY_BYTES + 1)))


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Nothing that a caller sends raises anything but a refusal."""
    try:
        value = api.json_body(request(body))
    except MalformedRequest:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("key", ["k", "a" * 255, "order-7/2026!", '"quoted"', "~"])
def test_an_idempotency_key(key: str) -> None:
    """Visible ASCII, as a header can carry it without trouble; the name of the header has no case."""
    assert api.idempotency_key(request(headers={"Idempotency-Key": key})) == key
    assert api.idempotency_key(request(headers={"idempotency-key": key})) == key


@pytest.mark.parametrize("key", [None, "", "a" * 256, "a b", " a", "a\n", "a\r\nb", "é", "\0", "\x7f"])
def test_no_idempotency_key(key: str | None) -> None:
    """Without a usable key a send could not be repeated safely, so it is not begun."""
    with pytest.raises(IdempotencyKeyMissing):
        api.idempotency_key(request(headers={} if key is None else {"Idempotency-Key": key}))


@pytest.mark.parametrize("value", ["acme", "A-z_09", "a" * 64])
def test_ids_in_the_path(value: str) -> None:
    """Account and user are the CRM's own ids."""
    asked = request(route={"account_id": value, "user_id": value})
    assert (api.account_of(asked), api.user_of(asked)) == (value, value)


@pytest.mark.parametrize("value", ["", "a" * 65, "a b", "a|b", "..", "a'b", "é", "a\n", "%61"])
def test_what_is_no_id(value: str) -> None:
    """It would be a row key: refused before any table is asked."""
    for read in (api.account_of, api.user_of):
        with pytest.raises(MalformedRequest):
            read(request(route={"account_id": value, "user_id": value}))


@pytest.mark.parametrize(
    ("text", "number"),
    [(None, 0), ("0", 0), ("7", 7), ("0007", 7), (str(requests.MAX_SEQUENCE), requests.MAX_SEQUENCE)],
)
def test_a_place_in_the_feed(text: str | None, number: int) -> None:
    """`after` is a whole number; left out it is the beginning."""
    assert api.sequence_after(request(query={} if text is None else {"after": text})) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "1e3", " 1", "0x1", "٣", "²", "x", str(requests.MAX_SEQUENCE + 1), "9" * 5_000]
)
def test_what_is_no_place_in_the_feed(text: str) -> None:
    """Anything else is refused, with the field named."""
    with pytest.raises(InvalidRequest) as refused:
        api.sequence_after(request(query={"after": text}))
    assert refused.value.extra == {"errors": [{"field": "after", "message": text[:40]}]}


@pytest.mark.parametrize(("text", "size"), [(None, 100), ("1", 1), ("0", 1), ("1000", 1_000)])
def test_the_size_of_a_page(text: str | None, size: int) -> None:
    """From one to a thousand."""
    assert api.page_size(request(query={} if text is None else {"limit": text})) == size


def test_a_page_has_a_limit() -> None:
    """More is refused, not cut: the caller would think it got all."""
    with pytest.raises(InvalidRequest):
        api.page_size(request(query={"limit": "1001"}))


# Files.

NAMES = [
    "Offer.pdf",
    "Angebot für Zürich.pdf",
    "报价.pdf",
    "👋.png",
    'a".pdf',
    "a\\.pdf",
    "a;b=c.pdf",
    "a.pdf\r\nSet-Cookie: x=y",
    "a\nb.pdf",
    "../../etc/passwd",
    "C:\\x.pdf",
    "report\u202efdp.exe",
    "a\0.pdf",
    "%2e%2e%2f.pdf",
    "'.pdf",
    "filename*=UTF-8''evil.exe",
    "",
    "." * 10,
    "x" * 400 + ".pdf",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_saved_and_never_shown(name: str) -> None:
    """Whatever a sender calls a file, the header stays one header with two parameters, and the browser saves it."""
    name = clean_name(name)
    response = api.file(attachment(name=name, content_type="text/html"), b"<script>")
    assert (response.mimetype, response.get_body()) == ("application/octet-stream", b"<script>")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    header = response.headers["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    kind, parameters = parse_options_header(header)
    assert (kind, parameters) == ("attachment", {"filename": name})
    found = re.fullmatch(r"attachment; filename=\"([\w .-]*)\"; filename\*=UTF-8''([\w.~%-]*)", header, re.ASCII)
    assert found is not None
    assert unquote(found[2]) == name


@given(st.text())
def test_any_name_makes_a_header(name: str) -> None:
    """No name, once cleaned, breaks out of the header."""
    header = api.file(attachment(name=clean_name(name)), b"").headers["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


# The browser's side of a sign-in.

HTTPS, LOOPBACK = "https://sync.example", "http://127.0.0.1:7071"


def cookie_of(base_url: str, binding: str) -> tuple[str, Any]:
    """The cookie that a redirect sets."""
    response = api.redirect("https://login.example/", binding, base_url)
    assert (response.status_code, response.headers["Location"]) == (302, "https://login.example/")
    ((name, cookie),) = SimpleCookie(response.headers["Set-Cookie"]).items()
    return name, cookie


def test_the_binding_cookie_over_https() -> None:
    """Sent to this host alone, over TLS alone, seen by no script, and along with Microsoft's redirect."""
    name, cookie = cookie_of(HTTPS, "s3cret-_")
    assert (name, cookie.value) == ("__Host-sign_in", "s3cret-_")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"], cookie["max-age"]) == ("Lax", "/", "", "600")


def test_the_binding_cookie_on_the_loopback() -> None:
    """The local cloud has no TLS: there a browser would refuse `Secure` and `__Host-`."""
    name, cookie = cookie_of(LOOPBACK, "s3cret")
    assert name == "sign_in"
    assert not cookie["secure"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["domain"]) == ("Lax", "")


@pytest.mark.parametrize("base_url", [HTTPS, LOOPBACK])
def test_the_cookie_ends_with_the_sign_in(base_url: str) -> None:
    """Without a binding it is cleared."""
    name, cookie = cookie_of(base_url, "")
    assert (name, cookie.value, cookie["max-age"]) == (browser.cookie_name(base_url), "", "0")


@pytest.mark.parametrize(
    ("header", "binding"),
    [
        ("__Host-sign_in=s3cret", "s3cret"),
        ("a=b; __Host-sign_in=s3cret; c=d", "s3cret"),
        ("__Host-sign_in=a=b", "a=b"),
        (" __Host-sign_in=s3cret ;", "s3cret"),
        ("", ""),
        ("sign_in=s3cret", ""),
        ("x__Host-sign_in=s3cret", ""),
        ("__Host-sign_in", ""),
        ("__host-sign_in=s3cret", ""),
    ],
)
def test_the_binding_is_read_from_its_cookie_alone(header: str, binding: str) -> None:
    """A cookie of a like name, which a neighbouring site might set, is not believed."""
    assert api.binding_of(request(headers={"Cookie": header}), HTTPS) == binding


@pytest.mark.parametrize(
    ("answer", "thanks"),
    [
        ({"admin_consent": "True"}, True),
        ({"admin_consent": "true"}, True),
        ({"admin_consent": "True", "error": "access_denied"}, False),
        ({"admin_consent": "False"}, False),
        ({}, False),
    ],
)
def test_what_an_administrator_reads(answer: dict[str, str], thanks: bool) -> None:
    """Only Microsoft's own yes is thanked for."""
    assert ("has approved" in api.admin_consent_page(answer).get_body().decode()) is thanks


def test_words_on_a_page_are_words() -> None:
    """Nothing in a title or a text is markup."""
    page = browser.page("<b>", '"><script>alert(1)</script>').get_body().decode()
    assert "<b>" not in page
    assert "<script" not in page


# Microsoft Graph.


def test_graphs_validation_is_answered_as_plain_text() -> None:
    """The token comes back as it was, as text that no browser runs."""
    response = api.validation("<script>alert(1)</script> é")
    assert response.get_body().decode() == "<script>alert(1)</script> é"
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    with pytest.raises(MalformedRequest):
        api.validation("a\r\nb")


def test_accepted_has_no_body() -> None:
    """Graph reads nothing but the status."""
    assert (api.accepted().status_code, api.accepted().get_body()) == (202, b"")
