"""
Opening what rich notifications carry of a message: first whether Graph sent it, then what it says.

As https://learn.microsoft.com/graph/change-notifications-with-resource-data has it: the validation token is a JWT of Entra ID for
this app, of the mailbox's tenant, given to Graph's change publisher. The content is under AES-256-CBC with PKCS7, its
initialization vector the key's first 16 bytes, and signed by HMAC-SHA256; the key itself under RSA-OAEP with SHA-1.
"""

import base64
import binascii
import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sync.adapters.certificates import NotificationCertificates
from sync.adapters.entra_keys import EntraKeys
from sync.adapters.graph_shapes import mailbox_message
from sync.domain.connection import Connection
from sync.domain.encrypted_content import EncryptedContent, Unusable
from sync.domain.errors import OperatorAlarm
from sync.domain.mail import MailboxMessage

#: The application id of Microsoft Graph's change publisher, in every tenant.
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
#: Clocks differ. What waited in a queue for longer than its token is good, about an hour, is asked for at Graph.
LEEWAY_S = 300
#: The issuer of tokens of version 1.0.
_ISSUER_V1 = "https://sts.windows.net/{tenantid}/"
#: Without these a message can't be told apart from others.
_NEEDED = ("isDraft", "internetMessageId", "conversationId", "receivedDateTime", "singleValueExtendedProperties")


class GraphResourceData:
    """Keeps `flows.ports.ResourceData`. `client_id`: this app's, which tokens must be for."""

    def __init__(self, certificates: NotificationCertificates, keys: EntraKeys, client_id: str) -> None:
        self._certificates = certificates
        self._keys = keys
        self._client_id = client_id

    async def message(self, connection: Connection, graph_id: str, text: str) -> MailboxMessage:
        """Keys and addresses of this message; raises Unusable."""
        content = EncryptedContent.from_text(text)
        # The mailbox's own tenant: a token of another would prove nothing of it.
        if content.tenant_id.casefold() != connection.mailbox.tenant_id.casefold():
            raise Unusable("unproven")
        await self._prove(content)
        shown = self._open(content)
        # Which kind of id stands in the content is not said; that of the notification itself is the immutable one.
        if any(name not in shown for name in _NEEDED):
            raise Unusable("incomplete")
        try:
            mail = mailbox_message(shown | {"id": graph_id})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unusable("incomplete") from None
        # (?) Whether Graph sends headers along is not documented. Mail of the user's own never has any; of what comes from
        # outside they tell an automatic answer and a report of another kind from a person's mail.
        own = mail.sender is not None and mail.sender.key in connection.mailbox.own_addresses
        if "internetMessageHeaders" not in shown and not mail.is_draft and not own:
            raise Unusable("incomplete")
        return mail

    async def _prove(self, content: EncryptedContent) -> None:
        """Graph's publisher showed a token that Entra ID gave it for this app and this tenant."""
        token = content.validation_token
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            signing = await self._keys.signing(str(key_id))
            if signing is None:
                raise Unusable("unproven")
            issuer, key = signing
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._client_id,
                issuer=[name.replace("{tenantid}", content.tenant_id) for name in (issuer, _ISSUER_V1)],
                options={"require": ["exp", "aud", "iss", "tid"]},
                leeway=LEEWAY_S,
            )
        except jwt.PyJWTError:
            raise Unusable("unproven") from None
        publisher = claims.get("azp") if claims.get("ver") == "2.0" else claims.get("appid")
        if claims["tid"] != content.tenant_id or publisher != PUBLISHER:
            raise Unusable("unproven")

    def _open(self, content: EncryptedContent) -> dict[str, Any]:
        try:
            certificate = self._certificates.named(content.certificate_id)
        except OperatorAlarm:
            certificate = None
        if certificate is None:
            raise Unusable("undecryptable")
        try:
            shown = json.loads(_decrypted(content, certificate.private_key))
        except (ValueError, binascii.Error, RecursionError):
            raise Unusable("undecryptable") from None
        if not isinstance(shown, dict):
            raise Unusable("incomplete")
        return shown


def _decrypted(content: EncryptedContent, private_key: RSAPrivateKey) -> bytes:
    """The content's bytes; raises ValueError where anything was changed."""
    data = base64.b64decode(content.data, validate=True)
    oaep = OAEP(mgf=MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - Graph's choice
    key = private_key.decrypt(base64.b64decode(content.data_key, validate=True), oaep)
    signature = base64.b64decode(content.data_signature, validate=True)
    # Before it is decrypted: else whoever changes it could learn from how that fails.
    if not hmac.compare_digest(hmac.digest(key, data, "sha256"), signature):
        raise ValueError("the signature is of something else")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    padded = decryptor.update(data) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()
