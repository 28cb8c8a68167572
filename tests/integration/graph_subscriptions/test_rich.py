"""Notifications that carry the message, encrypted for the subscriber."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.graph_subscriptions.cloud import APP, Cloud

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sync")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(PRIVATE_KEY.public_key())
    .serial_number(1)
    .not_valid_before(datetime(2026, 1, 1))
    .not_valid_after(datetime(2036, 1, 1))
    .sign(PRIVATE_KEY, hashes.SHA256())
)


def rich_request(cloud: Cloud) -> dict[str, Any]:
    """What a subscription with resource data asks for beyond a basic one."""
    return {
        "resource": "me/messages?$select=id,subject,conversationId",
        "includeResourceData": True,
        "encryptionCertificate": base64.b64encode(CERTIFICATE.public_bytes(Encoding.DER)).decode(),
        "encryptionCertificateId": "key-1",
        "expirationDateTime": (cloud.clock.now() + timedelta(hours=23)).isoformat(),
    }


def decrypt(content: dict[str, str]) -> dict[str, Any]:
    """What the subscriber does: unseal the key, check the signature, decrypt."""
    oaep = rsa_padding.OAEP(mgf=rsa_padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    key = PRIVATE_KEY.decrypt(base64.b64decode(content["dataKey"]), oaep)
    data = base64.b64decode(content["data"])
    assert hmac.digest(key, data, hashlib.sha256) == base64.b64decode(content["dataSignature"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    plain = unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    decoded: dict[str, Any] = json.loads(plain)
    return decoded


@pytest.fixture
async def rich_cloud() -> AsyncIterator[Cloud]:
    """A running cloud that can read messages and sign tokens."""

    def read_message(oid: str, message_id: str, options: Any) -> dict[str, Any]:
        return {"id": message_id, "subject": "Grüße", "asked": options["$select"]}

    def sign_token(tenant_id: str, claims: Any) -> str:
        return json.dumps({"iss": f"https://sts.example/{tenant_id}/v2.0", **claims})

    running = Cloud(read_message=read_message, sign_token=sign_token)
    await running.start()
    yield running
    await running.stop()


async def test_a_rich_notification_carries_the_message_for_the_key_holder_only(rich_cloud: Cloud) -> None:
    """The selected properties come encrypted for the certificate, with one token that names Graph and our app."""
    created = await rich_cloud.subscribe(**rich_request(rich_cloud))
    assert (created["includeResourceData"], created["encryptionCertificateId"]) == (True, "key-1")
    rich_cloud.change(1)
    rich_cloud.change(2)
    await rich_cloud.settled()
    (post,) = rich_cloud.receiver.posts
    content = post["value"][0]["encryptedContent"]
    assert decrypt(content) == {"id": "AAMk1-inbox", "subject": "Grüße", "asked": "id,subject,conversationId"}
    assert content["encryptionCertificateId"] == "key-1"
    expected = hashlib.sha1(CERTIFICATE.public_bytes(Encoding.DER)).hexdigest().upper()
    assert content["encryptionCertificateThumbprint"] == expected
    (token,) = post["validationTokens"]
    claims = json.loads(token)
    assert (claims["aud"], claims["azp"]) == (APP, "0bf30f3b-4a52-48df-9a82-234910c4a086")
    assert claims["tid"] == rich_cloud.anna.tenant_id


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"resource": "me/messages"}, id="no select"),
        pytest.param({"resource": "me/messages?$select=id,body"}, id="body"),
        pytest.param({"resource": "me/messages?$select=id&$top=1"}, id="other option"),
        pytest.param({"resource": "me/messages?$select=id,colour"}, id="unknown property"),
        pytest.param({"resource": "me/messages?$select=id&$expand=weather"}, id="unknown expansion"),
        pytest.param({"encryptionCertificateId": None}, id="no certificate id"),
        pytest.param({"encryptionCertificate": "bm8="}, id="no certificate"),
        pytest.param({"includeResourceData": None}, id="certificate for a basic one"),
    ],
)
async def test_outlooks_rules_for_rich_notifications(rich_cloud: Cloud, fields: dict[str, Any]) -> None:
    """`$select` is a must, bodies and other options are refused, and so is a certificate nobody can use."""
    body = rich_cloud.request_body(**{**rich_request(rich_cloud), **fields})
    status, answer = await rich_cloud.call("POST", "/v1.0/subscriptions", body)
    assert (status, answer["error"]["code"]) == (400, "InvalidRequest")


async def test_a_rich_subscription_lives_a_day_at_most(rich_cloud: Cloud) -> None:
    """1,440 minutes, not 10,080."""
    fields = rich_request(rich_cloud) | {
        "expirationDateTime": (rich_cloud.clock.now() + timedelta(minutes=1_441)).isoformat()
    }
    status, answer = await rich_cloud.call("POST", "/v1.0/subscriptions", rich_cloud.request_body(**fields))
    assert status == 400
    assert "1440 minutes" in answer["error"]["message"]


async def test_an_emulator_without_the_parts_for_it_refuses_rich_subscriptions(cloud: Cloud) -> None:
    """It says so rather than deliver basic notifications in their stead."""
    body = cloud.request_body(**rich_request(cloud))
    status, answer = await cloud.call("POST", "/v1.0/subscriptions", body)
    assert status == 400
    assert "resource data" in answer["error"]["message"]
