"""
What README shows to a receiver of events, run as it stands there: in Python and in Node, with the official packages, on
deliveries as the app really signs them.
"""

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from sync.adapters.crm import CrmWebhook
from sync.domain.event import Event
from tests.cloud.azurite import CHECKOUT, NODE_PROGRAM

NEW, OLD, FOREIGN = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"n", b"o", b"f"))
SHOWN_SECRET = "whsec_…"
EVENT = Event(
    event_id="evt_0000000003p7wql3oovbfi",
    type="message.synced",
    account_id="acme",
    sequence=3,
    occurred_at=datetime.now(UTC),
    data={"message": {"text": "Grüße 🎈 </script>"}},
)


@dataclass(frozen=True)
class Delivered:
    """A delivery as a receiver gets it."""

    body: bytes
    headers: dict[str, str]


def delivered(*secrets: str, at: datetime | None = None) -> Delivered:
    """A delivery made by the app's own adapter, signed with these secrets."""
    came: list[Delivered] = []

    def receive(request: httpx.Request) -> httpx.Response:
        came.append(Delivered(request.content, dict(request.headers)))
        return httpx.Response(204)

    async def deliver() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as http:
            webhook = CrmWebhook(http, "https://crm.example/webhooks", secrets, lambda: at or datetime.now(UTC))
            assert (await webhook.deliver(EVENT)).accepted

    asyncio.run(deliver())
    return came[0]


def shown(language: str) -> str:
    """The one block of README in this language that verifies a delivery."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (CHECKOUT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if "Webhook(" in block]
    assert SHOWN_SECRET in found
    return str(found)


class RefusedError(Exception):
    """The receiver did not believe the delivery."""


def in_python(secret: str, delivery: Delivered) -> Any:
    """The event as README's Python gets it; raises RefusedError."""
    names: dict[str, Any] = {"request_body": delivery.body, "request_headers": delivery.headers}
    try:
        exec(shown("python").replace(SHOWN_SECRET, secret), names)
    except WebhookVerificationError as error:
        raise RefusedError(str(error)) from error
    return names["event"]


def in_node(secret: str, delivery: Delivered) -> Any:
    """The event as README's JavaScript gets it; raises RefusedError. The names that it uses are set before it."""
    given = {"body": base64.b64encode(delivery.body).decode(), "headers": delivery.headers}
    program = (
        f"const given = {json.dumps(given)};\n"
        'const requestBody = Buffer.from(given.body, "base64"), requestHeaders = given.headers;\n'
        f"{shown('js').replace(SHOWN_SECRET, secret)}\n"
        "console.log(JSON.stringify(event));\n"
    )
    ended = subprocess.run(
        [str(NODE_PROGRAM), "--input-type=module", "-"],
        input=program.encode(),
        cwd=CHECKOUT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if ended.returncode:
        said = ended.stderr.decode()
        assert "WebhookVerificationError" in said, said
        raise RefusedError(said)
    return json.loads(ended.stdout)


Receiver = Callable[[str, Delivered], Any]
receivers = pytest.mark.parametrize("receive", [in_python, in_node])


@receivers
def test_a_delivery_is_believed(receive: Receiver) -> None:
    """What the app signs, the official package takes, and gives the event."""
    assert receive(NEW, delivered(NEW)) == EVENT.payload()


@receivers
def test_while_secrets_rotate_either_is_good(receive: Receiver) -> None:
    """The app signs with both: a receiver that has not changed yet goes on, and so does one that has."""
    delivery = delivered(NEW, OLD)
    assert receive(NEW, delivery) == receive(OLD, delivery) == EVENT.payload()


@receivers
@pytest.mark.parametrize("forged", ["body", "secret", "id", "no signature"])
def test_a_forged_one_is_refused(receive: Receiver, forged: str) -> None:
    """Another body, another secret, another event's id, or no signature at all."""
    good = delivered(NEW)
    delivery = {
        "body": replace(good, body=good.body.replace(b'"acme"', b'"evil"')),
        "secret": delivered(FOREIGN),
        "id": replace(good, headers=good.headers | {"webhook-id": "evt_0000000004aaaaaaaaaaaa"}),
        "no signature": replace(good, headers={k: v for k, v in good.headers.items() if k != "webhook-signature"}),
    }[forged]
    with pytest.raises(RefusedError):
        receive(NEW, delivery)


@receivers
def test_an_old_one_is_refused(receive: Receiver) -> None:
    """A delivery that somebody has kept is not taken again later, although its signature is good."""
    with pytest.raises(RefusedError):
        receive(NEW, delivered(NEW, at=datetime.now(UTC) - timedelta(minutes=6)))


@receivers
def test_after_the_rotation_the_old_secret_is_no_good(receive: Receiver) -> None:
    """A receiver that still has only the old secret notices."""
    with pytest.raises(RefusedError):
        receive(OLD, delivered(NEW))
