"""
Rich notifications: the message's own properties, encrypted for the subscriber, and the tokens that prove the sender.

Imitated, from https://learn.microsoft.com/graph/change-notifications-with-resource-data and
https://learn.microsoft.com/graph/outlook-change-notifications-overview: the fields of the request and Outlook's rules for
its query; the encryption (a fresh AES-256 key per item, CBC with PKCS7 and the key's first 16 bytes as IV, HMAC-SHA256
over the ciphertext, the key itself under RSA-OAEP with SHA-1); one validation token for each app and tenant in a POST.
Not imitated: `appRoleAssignmentRequired`, which makes Graph leave the tokens out; checks of the certificate beyond its
RSA key's size.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cloud.graph import odata
from tests.cloud.graph.errors import GraphError

#: The application id of Graph's own change publisher: `azp` of a validation token.
PUBLISHER_APP_ID = "0bf30f3b-4a52-48df-9a82-234910c4a086"
MAXIMUM_CERTIFICATE_ID_CHARS = 128
_VALIDATION_TOKEN_LIFETIME = timedelta(hours=1)
_ALLOWED_OPTIONS = frozenset({"$select", "$expand"})
_REFUSED_PROPERTIES = frozenset({"body", "uniquebody"})

#: Reads a message as JSON: object id of the person, id of the message, `$select` and `$expand` as texts; None: gone.
ReadMessage = Callable[[str, str, Mapping[str, str]], Mapping[str, Any] | None]
#: Signs a JWT as Entra ID would for this tenant (which adds `iss`): tenant id, the other claims.
SignToken = Callable[[str, Mapping[str, Any]], str]


@dataclass(frozen=True)
class RichRequest:
    """What a subscriber asked to find in its notifications, and the key to encrypt it with."""

    options: Mapping[str, str]
    certificate_id: str
    thumbprint: str
    public_key: RSAPublicKey


def _invalid(message: str) -> GraphError:
    return GraphError(400, "InvalidRequest", message)


def read_rich_request(body: Mapping[str, Any], query: str | None) -> RichRequest | None:
    """The rich part of a subscription request, None for a basic one; `query` is what follows `?` in the resource."""
    if body.get("includeResourceData") not in (None, True, False):
        raise _invalid("Property 'includeResourceData' must be a boolean.")
    certificate, certificate_id = body.get("encryptionCertificate"), body.get("encryptionCertificateId")
    if not body.get("includeResourceData"):
        if query is not None:
            raise _invalid("This emulator takes query options in 'resource' only with includeResourceData.")
        if certificate is not None or certificate_id is not None:
            raise _invalid("An encryption certificate needs includeResourceData.")
        return None
    if not isinstance(certificate_id, str) or not 1 <= len(certificate_id) <= MAXIMUM_CERTIFICATE_ID_CHARS:
        raise _invalid(f"Property 'encryptionCertificateId' must have 1 to {MAXIMUM_CERTIFICATE_ID_CHARS} characters.")
    parsed = _read_certificate(certificate)
    public_key = parsed.public_key()
    if not isinstance(public_key, RSAPublicKey) or not 2048 <= public_key.key_size <= 4096:
        raise _invalid("The encryption certificate must hold an RSA key of 2048 to 4096 bits.")
    thumbprint = hashlib.sha1(parsed.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest().upper()
    return RichRequest(_read_options(query or ""), certificate_id, thumbprint, public_key)


def _read_certificate(certificate: Any) -> x509.Certificate:
    """A certificate given as base64 of its DER form, or of its PEM text."""
    try:
        raw = base64.b64decode(certificate, validate=True)
        return x509.load_pem_x509_certificate(raw) if raw.startswith(b"-----") else x509.load_der_x509_certificate(raw)
    except (TypeError, ValueError) as error:
        raise _invalid("Property 'encryptionCertificate' is not a base64 X.509 certificate.") from error


def _read_options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _ALLOWED_OPTIONS:
            raise _invalid(f"Query option '{name}' is not supported in a subscription with resource data.")
    selected = {name.strip().lower() for name in options.get("$select", "").split(",") if name.strip()}
    if not selected:
        raise _invalid("Outlook resources with includeResourceData need $select.")
    if refused := selected & _REFUSED_PROPERTIES:
        raise _invalid(f"Property '{min(refused)}' cannot be selected in a subscription with resource data.")
    try:
        odata.parse(options, odata.MESSAGE, collection=False)
    except GraphError as error:
        raise _invalid(error.message) from error
    return options


def encrypt(rich: RichRequest, resource: Mapping[str, Any]) -> dict[str, str]:
    """The `encryptedContent` of a notification."""
    return seal(rich.public_key, json.dumps(resource).encode()) | {
        "encryptionCertificateId": rich.certificate_id,
        "encryptionCertificateThumbprint": rich.thumbprint,
    }


def seal(public_key: RSAPublicKey, text: bytes) -> dict[str, str]:
    """Any bytes as Graph encrypts them for the owner of this key."""
    key = os.urandom(32)
    padder = padding.PKCS7(128).padder()
    plain = padder.update(text) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    data = encryptor.update(plain) + encryptor.finalize()
    sealed_key = public_key.encrypt(
        key,
        rsa_padding.OAEP(mgf=rsa_padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None),
    )
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(hmac.digest(key, data, "sha256")).decode(),
        "dataKey": base64.b64encode(sealed_key).decode(),
    }


def validation_claims(client_id: str, tenant_id: str, now: datetime) -> dict[str, Any]:
    """The claims of a validation token (v2.0 form), all but `iss`."""
    return {
        "aud": client_id,
        "azp": PUBLISHER_APP_ID,
        "tid": tenant_id,
        "ver": "2.0",
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int((now + _VALIDATION_TOKEN_LIFETIME).timestamp()),
    }
