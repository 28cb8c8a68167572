"""
Whether the app can reach what it needs, in words for whoever has just deployed it.

Each check has a name, whether it went well (None: it could not be told), what was seen, and, where it did not go well, what to
do. The words hold kinds of errors, status codes and names of settings: never an address, a key, or what a neighbour said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sync.domain.event import Answer

Name = Literal[
    "storage",
    "key_vault",
    "entra_credential",
    "graph",
    "notification_address",
    "notification_certificate",
    "crm_webhook",
]

#: How long each of them may take, and how long its outcome is shown again.
PATIENCE = timedelta(seconds=10)
KEPT_FOR = timedelta(minutes=1)
#: So long before a certificate ends it is time for the next.
RENEW_CERTIFICATE_BEFORE = timedelta(days=14)

WHAT_TO_DO: Mapping[Name, str] = {
    "storage": (
        "Give the app's identity the roles Storage Table Data Contributor, Storage Queue Data Contributor and Storage Blob Data"
        " Owner on the storage account, and look whether a network rule keeps the app out. A new role counts after some minutes."
    ),
    "key_vault": (
        "See that the secret exists and that the app's identity has the role Key Vault Secrets User on the vault; then restart"
        " the app, since references are read when it starts."
    ),
    "entra_credential": (
        "See that ENTRA_CLIENT_ID is right, and ENTRA_CLIENT_SECRET valid and not expired; or that the application trusts the"
        " identity of ENTRA_MANAGED_IDENTITY_CLIENT_ID."
    ),
    "graph": "See that GRAPH_BASE_URL is right and that the app's network lets it out to Microsoft Graph over https.",
    "notification_address": (
        "PUBLIC_BASE_URL has to be where this app is reached from the internet over https, without a sign-in before it: Microsoft"
        " Graph calls /graph/notifications and /graph/lifecycle there."
    ),
    "notification_certificate": (
        "Put a certificate that is good, with its private key, first in NOTIFICATION_CERTIFICATES and leave the one before it"
        " behind; or set NOTIFICATION_MODE to basic."
    ),
    "crm_webhook": (
        "See that CRM_WEBHOOK_URL is right and that its receiver answers 2xx within 15 seconds to a webhook.test event, which is"
        " signed with CRM_WEBHOOK_SECRETS; POST /v1/webhook/test shows what it answers."
    ),
}


@dataclass(frozen=True)
class Answered:
    """What an address answered: the HTTP status, and the beginning of the body."""

    status: int
    text: str


@dataclass(frozen=True)
class Check:
    """One of them. `ok` None: it could not be told; `what_to_do` is empty where there is nothing to do."""

    name: Name
    ok: bool | None
    detail: str
    what_to_do: str = ""


def storage(failures: Mapping[str, str | None]) -> Check:
    """`failures`: for tables, queues and blobs what went wrong, None where nothing did."""
    failed = [f"{part} ({words})" for part, words in failures.items() if words is not None]
    if failed:
        return Check("storage", ok=False, detail=f"Not reached: {', '.join(failed)}.", what_to_do=WHAT_TO_DO["storage"])
    return Check("storage", ok=True, detail=f"Reached: {', '.join(failures)}.")


def key_vault(unresolved: Sequence[str]) -> Check:
    """`unresolved`: names of settings that are still a reference to Key Vault, in the place of what it holds."""
    if unresolved:
        named = ", ".join(unresolved)
        return Check(
            "key_vault", ok=False, detail=f"Azure did not resolve: {named}.", what_to_do=WHAT_TO_DO["key_vault"]
        )
    return Check("key_vault", ok=True, detail="No setting is a Key Vault reference that Azure could not resolve.")


def entra_credential(refused: str | None, *, asked: bool) -> Check:
    """`refused`: how Entra ID refused the app's credential. `asked`: whether there was a tenant to ask in."""
    if refused is not None:
        return Check("entra_credential", ok=False, detail=refused, what_to_do=WHAT_TO_DO["entra_credential"])
    if not asked:
        detail = "A client secret is tried once a mailbox is connected: until then no organisation is known that has the app."
        return Check("entra_credential", ok=None, detail=detail)
    return Check("entra_credential", ok=True, detail="Entra ID gave the app a token.")


def graph(status: int) -> Check:
    """What Graph answered somebody who has no token: 401, where all is well."""
    if status == 401:
        return Check("graph", ok=True, detail="Microsoft Graph answers.")
    return Check(
        "graph",
        ok=False,
        detail=f"Microsoft Graph answered {status} where 401 was due.",
        what_to_do=WHAT_TO_DO["graph"],
    )


def notification_address(status: int, *, echoed: bool) -> Check:
    """How our own address answered what Graph asks before it tells anything; `echoed`: with the text it was given."""
    name: Name = "notification_address"
    if status == 200 and echoed:
        return Check(name, ok=True, detail="PUBLIC_BASE_URL leads to this app, seen from the app itself.")
    what = "with something else" if status == 200 else f"with {status}"
    detail = f"PUBLIC_BASE_URL answered the validation of Microsoft Graph {what}."
    return Check(name, ok=False, detail=detail, what_to_do=WHAT_TO_DO["notification_address"])


def notification_certificate(ends_at: datetime | None, now: datetime) -> Check:
    """Until when the newest certificate is good; None: Graph is not asked to encrypt anything."""
    name: Name = "notification_certificate"
    if ends_at is None:
        return Check(name, ok=True, detail="NOTIFICATION_MODE is basic: none is needed.")
    day, left = f"{ends_at:%Y-%m-%d}", ends_at - now
    if left > RENEW_CERTIFICATE_BEFORE:
        return Check(name, ok=True, detail=f"The newest certificate is good until {day}.")
    how = f"ends soon, on {day}" if left > timedelta() else f"ended on {day}"
    return Check(name, ok=False, detail=f"The newest certificate {how}.", what_to_do=WHAT_TO_DO[name])


def unusable_certificate(words: str) -> Check:
    """`words`: why it can't be read."""
    name: Name = "notification_certificate"
    return Check(name, ok=False, detail=words, what_to_do=WHAT_TO_DO[name])


def crm_webhook(state: Literal["on", "off"], reason: str, answer: Answer) -> Check:
    """How deliveries stand, and how the receiver took a test event."""
    name: Name = "crm_webhook"
    if not answer.accepted:
        how = f"answered {answer.status}" if answer.status is not None else f"gave no answer ({answer.error})"
        return Check(
            name, ok=False, detail=f"The receiver {how} to a webhook.test event.", what_to_do=WHAT_TO_DO["crm_webhook"]
        )
    if state == "off":
        what = "Call POST /v1/webhook/enable: what was left undelivered comes back by itself."
        return Check(name, ok=False, detail=f"The receiver answers, but deliveries are off: {reason}", what_to_do=what)
    return Check(name, ok=True, detail="The receiver took a webhook.test event.")


def unreached(name: Name, words: str) -> Check:
    """It gave no answer at all; `words`: the kind of error."""
    return Check(name, ok=False, detail=f"No answer: {words}.", what_to_do=WHAT_TO_DO[name])


def words_of(error: BaseException) -> str:
    """The kind of error, with the status and code of an answer where it has them."""
    told = [type(error).__name__, getattr(error, "status_code", None), getattr(error, "error_code", None)]
    return " ".join(str(getattr(part, "value", part)) for part in told if part)
