"""
The link that opens the settings page for one user, and how the page proves itself afterwards.

The CRM's backend asks for it, for the user who is signed in to the CRM, and the token stands in the fragment, which browsers send
to no server: the page reads it and sends it as a header, so that no cookie is needed inside the CRM's frame. A token is
`<payload>.<HMAC>`; nothing is stored for it.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sync.domain.connection import Connection
from sync.domain.errors import SettingsPageExpired
from sync.domain.sign_in import SignInEnd

#: A page that stays open longer is opened again from the CRM.
LINK_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True)
class Visit:
    """Whose settings these are, and where a sign-in that is begun there leads back to."""

    account_id: str
    user_id: str
    return_url: str


@dataclass(frozen=True)
class View:
    """What the page shows. `connection` None: the user never had one. `sign_in` None: the last one ended well, or long ago."""

    connection: Connection | None
    sign_in: SignInEnd | None
    now: datetime


def issue(visit: Visit, expires_at: datetime, signing_key: bytes) -> str:
    """The token of a link."""
    content = [visit.account_id, visit.user_id, visit.return_url, int(expires_at.timestamp())]
    payload = _text(json.dumps(content, separators=(",", ":")).encode())
    return f"{payload}.{_mac(payload, signing_key)}"


def read(token: str, signing_keys: Sequence[bytes], now: datetime) -> Visit:
    """Whose link this is; raises SettingsPageExpired for one that is too old, or not ours. Compared in constant time."""
    payload, _, mac = token.partition(".")
    genuine = [token.isascii() and hmac.compare_digest(_mac(payload, key), mac) for key in signing_keys]
    if not any(genuine):
        raise SettingsPageExpired
    try:
        account_id, user_id, return_url, until = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except (ValueError, binascii.Error) as error:
        raise SettingsPageExpired from error
    if now >= datetime.fromtimestamp(until, UTC):
        raise SettingsPageExpired
    return Visit(account_id, user_id, return_url)


def _mac(payload: str, signing_key: bytes) -> str:
    return _text(hmac.new(signing_key, b"settings page|" + payload.encode(), hashlib.sha256).digest())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
