"""Why a message of a mailbox is in the CRM or not, as the lab says it: a table of mailboxes and what the CRM knows of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cloud.lab.contoso import Known
from tests.cloud.lab.verdict import LOOKS_WITHIN, OPEN, SYNCED, Link, Reason, ties_of, verdicts

type Json = dict[str, Any]

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DANA = "Dana@northwind.example"
OWN = [DANA, "d.whitfield@northwind.example"]
ADA = {"address": "ada@customer.example", "name": "Ada Quist"}


def connection(state: str = "connected", connection_id: str = "con_1", email: str | None = DANA) -> Json:
    return {"connection_id": connection_id, "state": state, "email": email}


def known(
    *told: Json, current: Json | None = None, thread_state: str = "active", events: tuple[Json, ...] = ()
) -> Known:
    """The CRM with one thread of these messages; `current` is Dana's connection."""
    thread = {"thread_id": "thr_1", "state": thread_state, "messages": list(told)}
    return Known(events=events, connections={"dana": current, "lee": None}, threads={"thr_1": thread} if told else {})


def in_crm(message_id: str, origin: str = "crm", matched_by: str | None = None, connection_id: str = "con_1") -> Json:
    """A message of the thread; its Message-ID is made of `message_id`."""
    return {
        "message_id": f"msg_{message_id}",
        "internet_message_id": f"<{message_id}>",
        "connection_id": connection_id,
        "origin": origin,
        "matched_by": matched_by,
    }


def mail(name: str, conversation: str = "c1", *, age: timedelta = timedelta(hours=1), **fields: Any) -> Json:
    """A message of the mailbox from Ada, with this Message-ID."""
    return {
        "immutable_id": name,
        "internet_message_id": f"<{name}>",
        "conversation_id": conversation,
        "received_at": (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "is_draft": False,
        "is_report": False,
        "from": ADA,
    } | fields


OURS: Json = {"from": {"address": OWN[1], "name": "Dana"}}
LIVE = connection()
CASES: dict[str, tuple[list[Json], Known, Reason]] = {
    "the copy of what the CRM sent": ([mail("a", **OURS)], known(in_crm("a"), current=LIVE), Reason.FROM_CRM),
    "an answer typed in Outlook": (
        [mail("a", **OURS)],
        known(in_crm("a", "outlook", "conversation"), current=LIVE),
        Reason.OWN_ANSWER,
    ),
    "the contact's answer": ([mail("a")], known(in_crm("a", "contact", "message_id"), current=LIVE), Reason.ANSWER),
    "what synced stays synced after the end": (
        [mail("a")],
        known(in_crm("a", "contact"), current=connection("disconnected"), thread_state="stopped"),
        Reason.ANSWER,
    ),
    "a draft, also in a thread": (
        [mail("a"), mail("d", is_draft=True, **OURS)],
        known(in_crm("a"), current=LIVE),
        Reason.DRAFT,
    ),
    "never connected": ([mail("a")], known(), Reason.NOT_CONNECTED),
    "somebody else's connection": (
        [mail("a")],
        known(in_crm("a"), current=connection(email="lee@fabrikam.example")),
        Reason.NOT_CONNECTED,
    ),
    "an erased connection": ([mail("a")], known(current=connection("disconnected", email=None)), Reason.NOT_CONNECTED),
    "into a thread, after the end": (
        [mail("a"), mail("b")],
        known(in_crm("a"), current=connection("disconnected"), thread_state="stopped"),
        Reason.ENDED,
    ),
    "into a thread of an earlier connection": (
        [mail("a"), mail("b")],
        known(
            in_crm("a", connection_id="con_0"),
            current=LIVE,
            thread_state="stopped",
            events=({"data": {"connection": connection("connected", "con_0")}},),
        ),
        Reason.ENDED,
    ),
    "into a thread, while the user has to sign in": (
        [mail("a"), mail("b", age=timedelta())],
        known(in_crm("a"), current=connection("needs_reconnect")),
        Reason.WAITS,
    ),
    "just arrived": ([mail("a", age=timedelta(seconds=1))], known(current=LIVE), Reason.LOOKING),
    "just arrived, with nobody to look": (
        [mail("a", age=timedelta(seconds=1))],
        known(current=connection("disconnected")),
        Reason.BEGUN_OUTSIDE,
    ),
    "looked at long enough": ([mail("a", age=LOOKS_WITHIN)], known(current=LIVE), Reason.BEGUN_OUTSIDE),
    "filed with a thread by its subject": (
        [mail("a"), mail("b")],
        known(in_crm("a"), current=LIVE),
        Reason.FILED_BESIDE,
    ),
    "a delivery report": (
        [mail("a", **OURS), mail("b", is_report=True)],
        known(in_crm("a"), current=LIVE),
        Reason.REPORT,
    ),
    "begun in Outlook, by an alias": ([mail("a", **OURS)], known(current=LIVE), Reason.BEGUN_IN_OUTLOOK),
    "the answer to what was begun in Outlook": (
        [mail("a", **OURS), mail("b")],
        known(current=LIVE),
        Reason.BEGUN_IN_OUTLOOK,
    ),
    "begun outside": ([mail("a")], known(in_crm("z"), current=LIVE), Reason.BEGUN_OUTSIDE),
    "begun by a draft of nobody": ([mail("a") | {"from": None}, mail("b")], known(current=LIVE), Reason.BEGUN_OUTSIDE),
}


@pytest.mark.parametrize("case", CASES)
def test_the_last_message_of_a_mailbox(case: str) -> None:
    """Each message has the one reason that a person would give first, with words and, where it synced, its place in the CRM."""
    messages, crm, reason = CASES[case]

    verdict = verdicts(messages, ties_of(DANA.lower(), crm), OWN, NOW)[messages[-1]["immutable_id"]]

    assert verdict.reason is reason
    assert verdict.says.endswith((".", "…"))
    assert verdict.state == ("synced" if reason in SYNCED else "open" if reason in OPEN else "private")
    synced_as = (verdict.thread_id, verdict.message_id)
    assert synced_as == (("thr_1", f"msg_{messages[-1]['immutable_id']}") if reason in SYNCED else (None, None))


@pytest.mark.parametrize(
    ("state", "link"),
    [
        ("connecting", Link.LIVE),
        ("connected", Link.LIVE),
        ("needs_reconnect", Link.WAITS),
        ("disconnected", Link.ENDED),
    ],
)
def test_a_mailbox_is_tied_to_the_crm_by_its_connections_state(state: str, link: Link) -> None:
    """Connecting counts as live: what arrives then is looked at, too."""
    assert ties_of(DANA, known(current=connection(state))).link is link


def test_a_mailbox_that_another_one_took_over_from_has_ended() -> None:
    """The user's connection is another mailbox's now; that this one was connected before, only the feed tells."""
    before = {"data": {"connection": connection("connected", "con_0")}}
    crm = known(current=connection("connected", "con_2", "other@northwind.example"), events=(before,))

    assert ties_of(DANA, crm).link is Link.ENDED
