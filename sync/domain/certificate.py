"""
The certificates that Microsoft Graph encrypts what a message shows for: read from PEM (RFC 7468), checked and named.

Graph takes RSA keys of 2,048 to 4,096 bits, and a certificate that signed itself
(https://learn.microsoft.com/graph/change-notifications-with-resource-data). `looks_right` is for the start of the app, which must
not wait for a library of cryptography; `read` is for where one of them is used.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

MIN_KEY_BITS = 2_048
MAX_KEY_BITS = 4_096
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_PRIVATE_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY")


@dataclass(frozen=True, repr=False)
class Certificate:
    """
    One of them, with its private key.

    `certificate_id`: its public name, which Graph repeats with what it encrypted (`encryptionCertificateId`). `der`: its bytes,
    of which Graph is given the base64. `ends_at`: Graph may refuse it from then on.
    """

    certificate_id: str
    der: bytes
    private_key: "RSAPrivateKey"
    ends_at: datetime

    def __repr__(self) -> str:
        return f"Certificate({self.certificate_id!r})"


def looks_right(pem: str) -> None:
    """Raises ValueError, in plain words, where this can't be certificates with their private keys."""
    kinds = []
    for kind, content in _BLOCK.findall(_lines(pem)):
        if "ENCRYPTED" in kind or "ENCRYPTED" in content:
            raise ValueError("a private key in it is locked with a password")
        try:
            base64.b64decode("".join(content.split()), validate=True)
        except binascii.Error:
            raise ValueError(f"a block in it ({kind}) is damaged") from None
        kinds.append(kind)
    if "CERTIFICATE" not in kinds:
        raise ValueError("there is no certificate in it (-----BEGIN CERTIFICATE-----)")
    if not any(kind in _PRIVATE_KEYS for kind in kinds):
        raise ValueError("there is no private key in it (-----BEGIN PRIVATE KEY-----)")


def read(pem: str) -> tuple[Certificate, ...]:
    """
    The certificates that have their private key there, in their order, which is newest first.

    Those of an issuer that stand beside them are passed over. Raises ValueError in plain words: of nothing secret.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    looks_right(pem)
    blocks = [
        (kind, f"-----BEGIN {kind}-----{content}-----END {kind}-----\n".encode())
        for kind, content in _BLOCK.findall(_lines(pem))
    ]
    try:
        keys = [load_pem_private_key(block, password=None) for kind, block in blocks if kind in _PRIVATE_KEYS]
    except (ValueError, TypeError):
        raise ValueError("a private key in it can't be read") from None
    try:
        certificates = [x509.load_pem_x509_certificate(block) for kind, block in blocks if kind == "CERTIFICATE"]
    except ValueError:
        raise ValueError("a certificate in it can't be read") from None
    private_keys: dict[bytes, RSAPrivateKey] = {}
    for key in keys:
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("a private key in it is not an RSA key")
        private_keys[_public_half(key.public_key())] = key
    halves = [(certificate, _public_half(certificate.public_key())) for certificate in certificates]
    pairs = [(certificate, private_keys[half]) for certificate, half in halves if half in private_keys]
    if not pairs:
        raise ValueError("no certificate in it belongs to a private key in it")
    for _, private_key in pairs:
        if not MIN_KEY_BITS <= private_key.key_size <= MAX_KEY_BITS:
            limits = f"{MIN_KEY_BITS} to {MAX_KEY_BITS}"
            raise ValueError(f"its RSA key has {private_key.key_size} bits; Microsoft Graph takes {limits}")
    return tuple(_certificate(found, private_key) for found, private_key in pairs)


def _certificate(found: "x509.Certificate", private_key: "RSAPrivateKey") -> Certificate:
    from cryptography.hazmat.primitives.serialization import Encoding

    der = found.public_bytes(Encoding.DER)
    return Certificate(hashlib.sha256(der).hexdigest()[:32], der, private_key, found.not_valid_after_utc)


def _public_half(key: "CertificatePublicKeyTypes") -> bytes:
    """What a private key and its certificate have in common."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _lines(pem: str) -> str:
    r"""PEM with its line ends, which a setting on one line shows as \n."""
    return pem.replace("\\n", "\n")
