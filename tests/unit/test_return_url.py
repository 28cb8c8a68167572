"""Where a browser may be sent after a sign-in: the tricks by which an address looks allowed and leads elsewhere."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.errors import ReturnUrlNotAllowed
from sync.domain.sign_in import check_return_url, origin_of, with_result

ALLOWED = ("https://crm.example", "http://127.0.0.1:8080", "https://crm.example:8443", "http://[::1]:8080")

GOOD = [
    "https://crm.example",
    "https://crm.example/",
    "https://crm.example/settings/email?tab=2#top",
    "https://crm.example?next=https://evil.example",
    "https://crm.example#@evil.example",
    "https://crm.example/@evil.example",
    "https://crm.example//evil.example",
    "HTTPS://CRM.Example/settings",
    "https://crm.example:443/",
    "https://crm.example:/",
    "https://crm.example:8443/x",
    "http://127.0.0.1:8080/x",
    "http://[::1]:8080/x",
]

ATTACKS = [
    # not an address of a page
    "",
    "crm.example",
    "/settings",
    "//crm.example/",
    "///crm.example/",
    "https:crm.example",
    "https:/crm.example",
    "https:///crm.example",
    "javascript:alert(1)",
    "javascript://crm.example/%0aalert(1)",
    "data:text/html,x",
    "ftp://crm.example/",
    "file:///etc/passwd",
    "blob:https://crm.example/",
    # another host that reads like ours
    "https://evil.example",
    "https://crm.example.evil.example",
    "https://evilcrm.example",
    "https://sub.crm.example",
    "https://crm.example./",
    "https://crm.example%2eevil.example",
    "https://crm.example%00.evil.example",
    "https://crm.example;evil.example",
    "https://crm.example&.evil.example",
    "https://evil.example/https://crm.example",
    "https://evil.example?https://crm.example",
    "https://evil.example#https://crm.example",
    # somebody's name and password in front of another host
    "https://crm.example@evil.example",
    "https://crm.example:443@evil.example",
    "https://crm.example%40evil.example",
    "https://user@crm.example",
    "https://user:pass@crm.example",
    "https://@crm.example",
    "https://:@crm.example",
    "https://evil.example@crm.example",
    # what browsers read as a slash
    "https://evil.example\\@crm.example",
    "https://crm.example\\@evil.example",
    "https:\\\\crm.example",
    "https://crm.example\\.evil.example",
    "https://crm.example/\\evil.example",
    # another scheme or port
    "http://crm.example",
    "https://crm.example:8444",
    "https://crm.example:80",
    "http://127.0.0.1",
    "http://127.0.0.1:8081",
    "https://127.0.0.1:8080",
    "http://localhost:8080",
    "http://127.1:8080",
    "http://2130706433:8080",
    "https://crm.example:99999",
    "https://crm.example:-1",
    "https://crm.example:443x",
    "https://[::1",
    "https://[crm.example]",
    # letters that look like ours, or become ours
    "https://crm.exampIe",
    "https://сrm.example",
    "https://xn--rm-fmc.example",
    "https://ｃｒｍ.example",
    "https://crm。example",
    "https://crm.exa\u00admple",
    "https://crm.example/ä",
    # what browsers drop before they read
    " https://crm.example",
    "https://crm.example ",
    "\thttps://crm.example",
    "java\nscript:alert(1)",
    "ht\ntps://crm.example",
    "https://crm.example/\r\nSet-Cookie: a=b",
    "https://crm.example/\n",
    "https://crm.example/\0",
    "https://crm.example/\x7f",
    "https://crm.exa\tmple",
    "\x01https://crm.example",
    "https://crm.example/\u2028",
    "https://crm.example/\ud83d",
    # what leaves an attribute of a page
    'https://crm.example/"onload="alert(1)',
    "https://crm.example/<script>",
    "https://crm.example/a b",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_page_on_an_allowed_origin(url: str) -> None:
    """Path, query and fragment are the CRM's own business; case and a default port make no other origin."""
    check_return_url(url, ALLOWED)


@pytest.mark.parametrize("url", ATTACKS)
def test_no_trick_leads_elsewhere(url: str) -> None:
    """The completion code is handed to the page, so no address outside the allowed origins is ever redirected to."""
    with pytest.raises(ReturnUrlNotAllowed):
        check_return_url(url, ALLOWED)


@pytest.mark.parametrize("url", [*GOOD, *ATTACKS])
def test_without_allowed_origins_nothing_is_allowed(url: str) -> None:
    """An empty list means nobody, not everybody."""
    with pytest.raises(ReturnUrlNotAllowed):
        check_return_url(url, ())


@given(st.text())
def test_any_text_is_judged(url: str) -> None:
    """Whatever is sent is refused as such, never by another exception."""
    try:
        check_return_url(url, ALLOWED)
    except ReturnUrlNotAllowed:
        return
    assert origin_of(url) in ALLOWED


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://crm.example/x?y#z", "https://crm.example"),
        ("HTTPS://CRM.Example:443", "https://crm.example"),
        ("http://crm.example:80", "http://crm.example"),
        ("http://crm.example:443", "http://crm.example:443"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
def test_origin_of(url: str, origin: str) -> None:
    """Scheme, host and port, as RFC 6454 compares them."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "with_it"),
    [
        ("https://crm.example", "https://crm.example?result=ok&completion_code=s1.code"),
        ("https://crm.example/a?b=c", "https://crm.example/a?b=c&result=ok&completion_code=s1.code"),
        ("https://crm.example/a#top", "https://crm.example/a?result=ok&completion_code=s1.code#top"),
        ("https://crm.example/?b=%20c#/route", "https://crm.example/?b=%20c&result=ok&completion_code=s1.code#/route"),
    ],
)
def test_the_result_is_added_to_the_query(url: str, with_it: str) -> None:
    """The CRM's own parameters stay as they are, and a fragment stays behind."""
    assert with_result(url, result="ok", completion_code="s1.code") == with_it


@given(st.text(st.characters(codec="utf-8")))
def test_a_result_cannot_leave_its_parameter(value: str) -> None:
    """Whatever the value holds, it is one parameter of the same address."""
    url = with_result("https://crm.example/a?b=c", admin_consent_url=value)
    assert urlsplit(url)[:3] == ("https", "crm.example", "/a")
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("b", "c"), ("admin_consent_url", value)]
