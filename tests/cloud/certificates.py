"""
TLS for this machine: an authority made on the spot, and one certificate of it for 127.0.0.1 and localhost. And certificates that
Graph can encrypt rich notifications for.
"""

import ipaddress
import secrets
import shutil
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Long enough for any run of the local cloud, short enough to be of no use to anybody later.
LIFETIME = timedelta(days=2)


class LocalAuthority:
    """
    A certificate authority that lives as long as the local cloud.

    `path` is where its certificate (PEM) lies between `write` and `remove`: give it to a client as `SSL_CERT_FILE`
    (https://docs.openssl.org/3.0/man3/SSL_CTX_load_verify_locations/), and the client trusts this authority alone.
    The path is known from construction on; nothing is made before `write`.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"local-authority-{secrets.token_hex(8)}"
        self.path = self._folder / "authority.pem"

    def write(self) -> ssl.SSLContext:
        """Make the authority and a certificate; the context with which a server of 127.0.0.1 speaks TLS."""
        authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority = _authority_certificate(authority_key)
        server = _server_certificate(server_key.public_key(), authority, authority_key)

        self._folder.mkdir(mode=0o700)
        pem = serialization.Encoding.PEM
        self.path.write_bytes(authority.public_bytes(pem))
        # ssl reads keys from files only, hence the short-lived one.
        chain = self._folder / "server.pem"
        chain.write_bytes(
            server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + server.public_bytes(pem)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        chain.unlink()
        return context

    def remove(self) -> None:
        """Delete what `write` left."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Local cloud authority")])
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePublicKey, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    # Python 3.13 verifies with VERIFY_X509_STRICT: both key identifiers and the key usage have to be there.
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    return (
        _builder(name, authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def notification_certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None) -> str:
    """PEM of a new certificate that signed itself, behind its private key: an RSA key as Graph takes it, unless one is given."""
    key = key or rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Notifications")])
    certificate = _builder(name, name, key.public_key()).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()
