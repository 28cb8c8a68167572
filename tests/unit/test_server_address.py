"""Which addresses an account's provider may be at: a table of all the ways to write one that it may not."""

from ipaddress import ip_network

import pytest

from sync.domain.server_address import is_allowed, read

ALLOWED = ["8.8.8.8", "93.184.216.34", "::ffff:8.8.8.8", "2606:4700::1111", "2a01:111:f403::1", "2001:4860:4860::8888"]
REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # the metadata service of clouds
    "168.63.129.16",  # Azure's platform
    "100.64.0.1",  # RFC 6598
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:168.63.129.16",
    "::127.0.0.1",  # IPv4-compatible (RFC 4291 2.5.5.1)
    "::8.8.8.8",
    "64:ff9b::10.0.0.1",  # NAT64
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:a00:1::1",  # 6to4 of 10.0.0.1
    "2002:808:808::1",
    "fc00::1",
    "fd00::1",
    "fec0::1",
    "fe80::1",
    "fe80::1%2",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "4000::1",
]


@pytest.mark.parametrize("address", ALLOWED)
def test_what_is_on_the_public_internet_may_be_a_provider(address: str) -> None:
    """IPv4, IPv6, and IPv4 written as IPv6."""
    assert is_allowed(read(address), ())


@pytest.mark.parametrize("address", REFUSED)
def test_nothing_else_may(address: str) -> None:
    """Loopback, private, link-local, platform, multicast, reserved, and all that only wraps or carries one of these."""
    assert not is_allowed(read(address), ())


@pytest.mark.parametrize("address", REFUSED)
def test_an_operator_can_allow_a_network(address: str) -> None:
    """An address inside is allowed then, and its neighbours outside are not."""
    own = ip_network(str(read(address)).partition("%")[0])
    assert is_allowed(read(address.partition("%")[0]), [own])
    assert not is_allowed(read(address), [ip_network("10.99.0.0/16"), ip_network("fd99::/16")])


def test_allowed_ipv4_is_not_allowed_ipv6() -> None:
    """All of IPv4 allowed opens nothing of IPv6 but IPv4 in its clothes; and the other way round."""
    everything = ip_network("0.0.0.0/0"), ip_network("::/0")
    assert is_allowed(read("::ffff:10.0.0.1"), everything[:1])
    assert not is_allowed(read("::1"), everything[:1])
    assert not is_allowed(read("::ffff:10.0.0.1"), everything[1:])
