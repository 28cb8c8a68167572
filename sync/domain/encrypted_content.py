"""
What a rich notification carries of a message, as Microsoft Graph encrypted it for us
(https://learn.microsoft.com/graph/change-notifications-with-resource-data).

It goes on as it is, beside the ids of the queue message, and is opened where the message is looked at: the path that answers
Graph knows no key. It spares a question, nothing more: what can't be used is asked for at Graph, as without it.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

#: A queue message has 64 KiB, in base64: so many characters leave room for what else stands in it. A message to some hundred
#: people shows more than that, and is asked for.
MAX_CHARS = 40_000

#: Why what came along can't be used. unproven: not shown to be of Graph; undecryptable: for a certificate that we do not have, or
#: changed on the way; incomplete: keys of the thread rule are missing.
Reason = Literal["unproven", "undecryptable", "incomplete"]


class Unusable(Exception):
    """It can't be used, for this reason."""

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class EncryptedContent:
    """
    `encryptedContent` of a notification, each part in base64 as Graph writes it, and what proves that Graph wrote it.

    `validation_token`: a JWT of the tenant whose mailbox it is about; one that was not looked at yet.
    """

    data: str
    data_signature: str
    data_key: str
    certificate_id: str
    tenant_id: str
    validation_token: str

    @classmethod
    def of(cls, item: Mapping[str, object], validation_tokens: object) -> Self | None:
        """What an item of a notification collection carries; None where that is nothing that can be used."""
        content, tenant_id = item.get("encryptedContent"), item.get("tenantId")
        if not isinstance(content, dict) or not isinstance(tenant_id, str):
            return None
        token = _of_tenant(tenant_id, validation_tokens)
        names = ("data", "dataSignature", "dataKey", "encryptionCertificateId")
        parts = [*(content.get(name) for name in names), tenant_id, token]
        texts = [part for part in parts if isinstance(part, str) and _is_word(part)]
        carried = cls(*texts) if len(texts) == len(parts) else None
        return carried if carried is not None and len(carried.to_text()) <= MAX_CHARS else None

    def to_text(self) -> str:
        """As a queue message carries it."""
        return " ".join(vars(self).values())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read it back; raises Unusable."""
        parts = text.split(" ")
        if len(parts) != len(cls.__dataclass_fields__):
            raise Unusable("undecryptable")
        return cls(*parts)


def _is_word(text: str) -> bool:
    """Whether it is what base64, a JWT and a GUID are made of: then a queue message has as many bytes of it as characters."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _of_tenant(tenant_id: str, tokens: object) -> str | None:
    """The token that says it is of this tenant: a post has one for each tenant that it tells of."""
    for token in tokens if isinstance(tokens, Sequence) and not isinstance(tokens, str) else ():
        if isinstance(token, str) and _claims(token).get("tid") == tenant_id:
            return token
    return None


def _claims(token: str) -> Mapping[str, object]:
    """What a token says, unproven (RFC 7519 3)."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
