"""The certificates that Graph encrypts for: which PEM is taken, in which order, and what is said of the rest."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from sync.adapters.certificates import NotificationCertificates
from sync.domain.certificate import looks_right, read
from sync.domain.errors import OperatorAlarm
from tests.cloud.certificates import notification_certificate

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
FIRST, SECOND = notification_certificate(KEY), notification_certificate()
LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
TRADITIONAL = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")).decode()
PKCS1 = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
CERTIFICATE = FIRST[FIRST.index("-----BEGIN CERTIFICATE") :]
PRIVATE = FIRST[: FIRST.index("-----BEGIN CERTIFICATE")]


def names(pem: str) -> list[str]:
    """The ids of what was read, in order."""
    return [certificate.certificate_id for certificate in read(pem)]


def test_a_certificate_is_read_with_its_key() -> None:
    """What Graph is given is the certificate; its id fits Graph's 128 characters and shows nothing; its end is known."""
    (found,) = read(FIRST)
    assert load_der_x509_certificate(found.der).public_key() == KEY.public_key()
    assert found.private_key.private_numbers() == KEY.private_numbers()
    assert (len(found.certificate_id), found.certificate_id.isalnum()) == (32, True)
    assert timedelta(days=1) < found.ends_at - datetime.now(UTC) <= timedelta(days=2)
    assert repr(found) == f"Certificate({found.certificate_id!r})"


@pytest.mark.parametrize(
    "pem",
    [
        FIRST,
        FIRST.replace("\n", "\\n"),
        FIRST.replace("\n", "\r\n"),
        "Bag Attributes\n  friendlyName: a, b\n" + FIRST,
        CERTIFICATE + PRIVATE,
        PKCS1 + CERTIFICATE,
        FIRST + SECOND[SECOND.index("-----BEGIN CERTIFICATE") :],
    ],
    ids=["as made", "on one line", "of Windows", "of OpenSSL", "the other way round", "PKCS#1", "with its issuer's"],
)
def test_pem_as_tools_write_it(pem: str) -> None:
    """Line ends, words beside the blocks, their order and an issuer's certificate make no difference."""
    assert names(pem) == names(FIRST)


def test_the_order_is_that_of_the_certificates() -> None:
    """Newest first, wherever their keys stand."""
    assert names(SECOND + FIRST) == names(SECOND) + names(FIRST)
    assert names(PRIVATE + SECOND + CERTIFICATE) == names(SECOND) + names(FIRST)


WRONG = {
    "": "there is no certificate in it",
    PRIVATE: "there is no certificate in it",
    CERTIFICATE: "there is no private key in it",
    LOCKED + CERTIFICATE: "locked with a password",
    TRADITIONAL + CERTIFICATE: "locked with a password",
    FIRST.replace("-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\n!!!"): "is damaged",
}
WRONG_INSIDE = {
    PRIVATE + SECOND[SECOND.index("-----BEGIN CERTIFICATE") :]: "no certificate in it belongs to a private key",
    FIRST.replace(
        "-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\nAAA"
    ): "a certificate in it can't be read",
    FIRST.replace(
        "-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----\nAAA"
    ): "a private key in it can't be read",
    notification_certificate(ec.generate_private_key(ec.SECP256R1())): "not an RSA key",
    notification_certificate(rsa.generate_private_key(public_exponent=65_537, key_size=1_024)): "1024 bits",
}


@pytest.mark.parametrize(
    ("pem", "words"), (WRONG | WRONG_INSIDE).items(), ids=[*WRONG.values(), *WRONG_INSIDE.values()]
)
def test_what_is_wrong_is_said(pem: str, words: str) -> None:
    """In plain words, and none of them is of the key."""
    with pytest.raises(ValueError, match=words) as told:
        read(pem)
    assert len(str(told.value)) < 100
    with pytest.raises(OperatorAlarm, match="NOTIFICATION_CERTIFICATES"):
        _ = NotificationCertificates(pem).newest


@pytest.mark.parametrize("pem", WRONG, ids=WRONG.values())
def test_what_can_be_seen_at_once_is_said_at_the_start(pem: str) -> None:
    """Without a library of cryptography, which would cost each cold start a tenth of a second."""
    with pytest.raises(ValueError, match=WRONG[pem]):
        looks_right(pem)


def test_one_that_graph_names_is_found() -> None:
    """The newest and those before it; not one that has been taken away."""
    certificates = NotificationCertificates(SECOND + FIRST)
    for pem in (FIRST, SECOND):
        (wanted,) = read(pem)
        found = certificates.named(wanted.certificate_id)
        assert found is not None
        assert found.der == wanted.der
    assert NotificationCertificates(SECOND).named(names(FIRST)[0]) is None
    assert base64.b64encode(certificates.newest.der).decode()[:40] in SECOND.replace("\n", "")
