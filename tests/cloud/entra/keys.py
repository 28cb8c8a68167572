"""
The signing key of the emulator: its public half as a JWKS, and the JWTs it signs.

Fidelity. Imitated: RS256, `kid` and `x5t` as the certificate's SHA-1 thumbprint, `x5c`, and the v2.0 id_token's claims
(https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference). Not imitated: several keys at once and
their rollover. One key serves the whole process, since making one takes longer than most tests.
"""

import base64
import functools
import hashlib
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ALGORITHM = "RS256"


class SigningKey:
    """An RSA key with a self-signed certificate."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Entra ID emulator")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .sign(self._private, hashes.SHA256())
        )
        self._certificate = certificate.public_bytes(serialization.Encoding.DER)
        self.kid = base64url(hashlib.sha1(self._certificate, usedforsecurity=False).digest())

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed JWT."""
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self.kid})

    def verified_claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a JWT signed with this key, whatever they say (not its times either); None for any other."""
        try:
            return jwt.decode(
                token,
                self._private.public_key(),
                [ALGORITHM],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None

    def jwks(self, issuer: str) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517); `issuer` is whose tokens it signs."""
        numbers = self._private.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
            "e": base64url(numbers.e.to_bytes(3)),
            "x5c": [base64.b64encode(self._certificate).decode()],
            "issuer": issuer,
        }
        return {"keys": [key]}


@functools.cache
def process_key() -> SigningKey:
    """The key of this process."""
    return SigningKey()


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
