"""
Names as servers know them: a domain in ASCII (IDNA 2008, RFC 5891, after the mapping of UTS 46), and an address with it.

What stands before the @ has no such form: where it is not ASCII, only servers with SMTPUTF8 (RFC 6531) take it.
"""

import ipaddress
import re

#: One label (RFC 1123 2.1; underscores, since real hosts have them) and how long a whole name may be (RFC 1035 2.3.4).
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
MAX_NAME_CHARS = 253
_ATOM = re.compile(r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\xa0\u2028\u2029\ud800-\udfff])+")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"')


def ascii_domain(name: str) -> str:
    """A domain or host name in lower case and ASCII, without a last dot; raises ValueError where it is no name."""
    import idna  # here: the acknowledge path does not pay for its tables

    plain = name.strip().removesuffix(".")
    if not plain.isascii():
        try:
            plain = idna.encode(plain, uts46=True).decode()
        except idna.IDNAError:
            raise ValueError(f"{name[:100]!r} is no domain name.") from None
    plain = plain.lower()
    labels = plain.split(".")
    # A last label of digits would make an address of it (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    if len(plain) > MAX_NAME_CHARS or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError(f"{name[:100]!r} is no domain name.")
    return plain


def host_name(value: str) -> str:
    """A server's name in ASCII, or its IP address; raises ValueError for anything else."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return ascii_domain(value)


def is_loopback(host: str) -> bool:
    """Whether a host, as `host_name` writes it, is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ascii_address(address: str) -> str:
    """
    An address as it stands on the wire: the domain in ASCII, what stands before the @ as it is.

    Raises ValueError where it can't be written (RFC 5321 4.1.2).
    """
    local, _, domain = address.strip().rpartition("@")
    if not _is_local_part(local):
        raise ValueError("This is no email address.")
    if not re.fullmatch(r"\[[A-Za-z0-9:.]{1,60}\]", domain):
        domain = ascii_domain(domain)
    return f"{local}@{domain}"


def needs_smtputf8(address: str) -> bool:
    """Whether an address can be written to a server only with SMTPUTF8."""
    return not address.strip().rpartition("@")[0].isascii()


def _is_local_part(local: str) -> bool:
    """A dot-atom, with letters of any script (RFC 6531 3.3), or a quoted string."""
    return all(map(_ATOM.fullmatch, local.split("."))) or _QUOTED.fullmatch(local) is not None
