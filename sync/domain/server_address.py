"""
Which IP addresses an account's provider may be at. Accounts choose the host, so without this rule they could make the app talk to
the network it runs in (https://owasp.org/www-community/attacks/Server_Side_Request_Forgery).

Only what is on the public internet, or in a network that the operator allows. `ipaddress.is_global` alone does not say that: it
is true of multicast, of forms that carry an IPv4 address inside, and of the address at which Azure answers its own machines.
"""

import ipaddress
from collections.abc import Collection

type IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The only part of IPv6 handed out for unicast (https://www.iana.org/assignments/ipv6-unicast-address-assignments): NAT64
#: (RFC 6052), IPv4-compatible, site-local and multicast addresses all lie outside.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_REFUSED = (
    ipaddress.ip_network("2002::/16"),  # 6to4 (RFC 3056): carries an IPv4 address
    ipaddress.ip_network("2001::/32"),  # Teredo (RFC 4380): likewise
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4 (RFC 7526)
    ipaddress.ip_network("192.0.0.0/24"),  # protocols' own (RFC 6890), some of them "global"
    # Azure's platform, seen from inside (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
    ipaddress.ip_network("168.63.129.16/32"),
)


def read(address: str) -> IpAddress:
    """An address as it is reached: IPv4 where IPv6 only wraps it (RFC 4291 2.5.5.2); raises ValueError."""
    read = ipaddress.ip_address(address)
    return getattr(read, "ipv4_mapped", None) or read


def is_allowed(address: IpAddress, allowed_networks: Collection[Network]) -> bool:
    """Whether a provider may be at this address."""
    if any(address in network for network in allowed_networks):
        return True
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    refused = any(address in network for network in _REFUSED)
    return address.is_global and not address.is_multicast and not address.is_reserved and not refused
