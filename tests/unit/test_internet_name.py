"""Names of servers, domains and addresses as servers know them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.internet_name import ascii_address, ascii_domain, host_name, is_loopback, needs_smtputf8


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("crm.example", "crm.example"),
        ("CRM.Example.", "crm.example"),
        (" crm.example ", "crm.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("straße.example", "xn--strae-oqa.example"),
        ("a_b.example", "a_b.example"),
        ("localhost", "localhost"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_domain_in_ascii(name: str, written: str) -> None:
    """Lower case, A-labels, no last dot; written so once, it stays so."""
    assert ascii_domain(name) == written
    assert ascii_domain(written) == written


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            "-a.example",
            "a-.example",
            "a b",
            "a/b",
            "a:25",
            "http://a.example",
            "a@b.example",
            "*.example",
        ),
        *(
            "a" * 64,
            "a." * 127 + "aa",
            "1.2.3.4",
            "127.1",
            "2130706433",
            "a\r\nb",
            "a\x00b",
            "[::1]",
            "ü" * 300,
            "\u200b.example",
        ),
        *("*.example", "\u200b.example", "-ü.example", "\ud800.example", "a,b", "é..example"),
    ],
)
def test_what_is_no_domain(name: str) -> None:
    """Is told, also where it would be read as an address."""
    with pytest.raises(ValueError):
        ascii_domain(name)


@pytest.mark.parametrize(
    ("value", "written", "loopback"),
    [
        ("smtp.crm.example", "smtp.crm.example", False),
        ("192.0.2.7", "192.0.2.7", False),
        ("2001:DB8::7", "2001:db8::7", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("LOCALHOST", "localhost", True),
        ("localhost.example", "localhost.example", False),
    ],
)
def test_a_server_is_a_name_or_an_address(value: str, written: str, *, loopback: bool) -> None:
    """And whether it is this machine shows in it."""
    assert host_name(value) == written
    assert is_loopback(written) is loopback


@pytest.mark.parametrize(
    ("address", "written", "utf8"),
    [
        ("Ada@Crm.example", "Ada@crm.example", False),
        ("a.b+c@bücher.example", "a.b+c@xn--bcher-kva.example", False),
        ("grete.müller@crm.example", "grete.müller@crm.example", True),
        ('"a b"@crm.example', '"a b"@crm.example', False),
        ('"a\\"b@c"@crm.example', '"a\\"b@c"@crm.example', False),
        ("a@[192.0.2.1]", "a@[192.0.2.1]", False),
        ("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", False),
    ],
)
def test_an_address_on_the_wire(address: str, written: str, *, utf8: bool) -> None:
    """Only the domain is changed; letters before the @ need a server that takes them."""
    assert ascii_address(address) == written
    assert needs_smtputf8(address) is utf8


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a b@c",
        "a..b@c",
        ".a@c",
        "a@b c",
        "a@[1\r\n2]",
        '"a\r\n"@c',
        '"a@c',
        "a>@c",
        "a@b>",
        "ü\x85@c",
    ],
)
def test_what_is_no_address(address: str) -> None:
    """Is told before it reaches a server."""
    with pytest.raises(ValueError):
        ascii_address(address)


@given(st.text(max_size=80))
def test_nothing_written_breaks_out_of_a_command(text: str) -> None:
    """Whatever is given: a name or an address without spaces, brackets and control characters, or ValueError."""
    for write in (
        ascii_domain,
        host_name,
        lambda value: ascii_address(f"a@{value}"),
        lambda value: ascii_address(f"{value}@b"),
    ):
        try:
            written = write(text)
        except ValueError:
            continue
        bare = written if not written.startswith('"') else ""
        assert not set(bare) & set(" <>\r\n\t\x00")
        assert all(c.isprintable() for c in written) or not written.isascii()
