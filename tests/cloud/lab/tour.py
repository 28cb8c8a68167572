"""The path for a newcomer: seven things to do in five minutes, each ticked off by itself as it happens."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.cloud.lab.contoso import Known
from tests.cloud.lab.verdict import Reason, Verdict

type Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing to do. `title` fits on a button; `how` says where to press, and what to look at then."""

    step_id: str
    title: str
    how: str


STEPS = (
    Step(
        "connect",
        "Connect Dana’s mailbox",
        "In the CRM, open Settings, press Connect, and sign in as Dana. No password is asked: Microsoft is an emulator here.",
    ),
    Step(
        "send",
        "Write to Ada from the CRM",
        "Press New email in the CRM. It leaves through Dana’s Outlook: look for it in Sent Items on the right.",
    ),
    Step(
        "answer",
        "Let Ada answer",
        "On the right, press Receive from outside and be Ada. Her answer arrives in the mailbox, and at once in the CRM.",
    ),
    Step(
        "outlook",
        "Answer from Outlook",
        "Open Ada’s answer in the mailbox and press Reply. What Dana writes in Outlook appears in the CRM too.",
    ),
    Step(
        "private",
        "Begin a mail in Outlook",
        "Press New mail in the mailbox, even to Ada. The CRM never hears of it: only threads that begin in the CRM sync.",
    ),
    Step(
        "too_large",
        "Send a file that is too large",
        "Be Ada once more and add the file over 3 MiB. Her email syncs; the file stays in Outlook, and the CRM says why.",
    ),
    Step(
        "delete",
        "Delete the connection",
        "In the CRM’s Settings, press Delete. Nothing syncs from then on, and the conversation is stopped.",
    ),
)


def done(known: Known, verdicts: Iterable[Verdict]) -> set[str]:
    """The steps that have happened, by what the CRM was told and what it was not."""
    messages = [
        (event["type"], event["data"]["message"]) for event in known.events if event["data"].get("message") is not None
    ]
    synced = [message for kind, message in messages if kind == "message.synced"]
    # An email through the account's own provider begins no thread: it is not in Sent Items, and this step is about that.
    begun = any(kind == "message.sent" and message["thread_id"] is not None for kind, message in messages)
    kinds = {event["type"] for event in known.events}
    happened = {
        "connect": "connection.connected" in kinds,
        "send": begun,
        "answer": any(message["origin"] == "contact" for message in synced),
        "outlook": any(message["origin"] == "outlook" for message in synced),
        "private": any(verdict.reason is Reason.BEGUN_IN_OUTLOOK for verdict in verdicts),
        "too_large": any(file["reason"] == "too_large" for m in synced for file in m["attachments"]),
        "delete": "connection.disconnected" in kinds,
    }
    return {step_id for step_id, it_did in happened.items() if it_did}


class Tour:
    """How far the newcomer is. What is done stays done, whichever mailbox is looked at next."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def follow(self, happened: set[str]) -> list[Json]:
        """The steps in order, each `{step_id, title, how, done}`, with what has happened by now."""
        self._done |= happened
        return [{"step_id": s.step_id, "title": s.title, "how": s.how, "done": s.step_id in self._done} for s in STEPS]
