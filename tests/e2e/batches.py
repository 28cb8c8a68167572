"""Bulk sends end to end: a crowd to send to, how a batch stands, and a provider that keeps what it gets."""

from typing import Any

from tests.cloud.polling import eventually
from tests.cloud.smtp import ReceivedMail
from tests.e2e.account import Account, Connected, Json, unique


def crowd(count: int, word: str = "c") -> list[Json]:
    """So many recipients, with names and the CRM's ids."""
    return [
        {"address": f"{word}{i}@customer.example", "name": f"Contact {i}", "contact_id": f"contact-{i}"}
        for i in range(count)
    ]


def bulk(user_id: str, to: list[Json], **changes: Any) -> Json:
    """A bulk send body that is in order, with these fields changed."""
    body: Json = {"kind": "bulk", "user_id": user_id, "to": to, "subject": "Our news", "html": "<p>Dear all</p>"}
    return body | changes


async def accepted(by: Account, body: Json, key: str | None = None) -> Json:
    """The answer to a send."""
    answer = await by.api.send(body, key or unique("key"))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def counts(of: Account, batch_id: str) -> dict[str, int]:
    """How the emails of a batch stand, without the statuses that none has."""
    shown = await of.api.batch(batch_id)
    assert shown.status_code == 200, shown.text
    return {status: count for status, count in shown.json()["counts"].items() if count}


async def finished(of: Account, batch_id: str, seconds: float = 60) -> Json:
    """The batch, once every email of it has an end."""

    async def look() -> Json | None:
        shown = (await of.api.batch(batch_id)).json()
        return dict(shown) if shown["finished"] else None

    return await eventually(look, f"{batch_id} to finish", timeout=seconds, pause=0.5)


def provider(of: Account, **changes: Any) -> Json:
    """The local cloud's SMTP server as the account's provider."""
    host, _, port = of.cloud.smtp.host_port.partition(":")
    settings: Json = {
        "host": host,
        "port": int(port),
        "security": "starttls",
        "username": "apikey",
        "password": "anything",
        "from": {"address": f"crm@{of.account_id}.example", "name": "Acme Offers"},
        "domains": [f"{of.account_id}.example"],
    }
    return settings | changes


async def with_provider(of: Account, **changes: Any) -> Json:
    """Set the account's provider; returns it as the app shows it."""
    answer = await of.api.put_provider(provider(of, **changes))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def received(of: Account) -> list[ReceivedMail]:
    """What the provider's server took from this account, oldest first."""
    return [mail for mail in of.cloud.smtp.messages if mail.mail_from.endswith(f"@{of.account_id}.example")]


def calls_refused(of: Connected) -> list[Json]:
    """The app's calls to this mailbox that Graph answered with 429."""
    logged = of.cloud.graph.traffic.requests
    return [call for call in logged if call["mailbox"] == of.email and call["status"] == 429]
