"""What the sync costs in calls to Microsoft, counted by Microsoft's side: no message takes one more than it needs."""

from collections import Counter

import httpx
import pytest

from tests import files
from tests.cloud.local import LocalCloud
from tests.cloud.request_log import kind_of_call
from tests.cloud.stage import attached
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    answers,
    arrives,
    at_rest,
    calls,
    in_mailbox,
    kinds_of_calls,
    mailbox_of,
    newly_connected,
    synced,
)

LOOK, READ_FILE = "GET me/messages/{id}", "GET me/messages/{id}/attachments/{id}"
PDF, PNG, NOTE = (
    attached("plan.pdf", "application/pdf", files.pdf()),
    attached("plan.png", "image/png", files.png()),
    attached("plan.txt", "text/plain", files.text()),
)
TOO_LARGE = attached("large.pdf", "application/pdf", files.pdf(3 * 1024 * 1024 + 1))
PROGRAM = attached("viewer.exe", "application/octet-stream", files.windows_executable())
INVITATION = attached("Invitation.pdf", "message/rfc822", b"") | {"kind": "item"}
LINK = attached("Shared.pdf", "application/pdf", b"") | {"kind": "reference"}


@pytest.mark.parametrize("mail", [{}, {"attachments": [PDF, PNG]}, {"text": "long " * 50_000}])
async def test_an_unrelated_message_costs_one_call(connected: Connected, mail: Json) -> None:
    """One GET, whatever is on it."""
    before = len(await calls(connected))
    arrival = await arrives(connected, ADA, "Unrelated", **mail)
    await at_rest(connected)

    assert await kinds_of_calls(connected, arrival) == {LOOK: 1}
    assert len(await calls(connected)) == before + 1


#: By name: what is on the message, and how many of it are accepted.
FILES: dict[str, tuple[list[dict[str, str]], int]] = {
    "none": ([], 0),
    "one": ([PDF], 1),
    "three": ([PDF, PNG, NOTE], 3),
    "too large": ([TOO_LARGE], 0),
    "not allowed": ([PROGRAM], 0),
    "item and reference": ([INVITATION, LINK], 0),
    "all sorts": ([PDF, TOO_LARGE, PROGRAM, INVITATION, LINK, NOTE], 2),
}


async def test_a_message_of_a_thread_costs_two_calls_and_one_for_each_file(connected: Connected) -> None:
    """Keys, then content, then each file that name and size allow; a file that is left out costs nothing."""
    offer = await connected.sent()
    await at_rest(connected)
    before = len(await calls(connected))

    arrivals = {name: await answers(connected, offer, attachments=given) for name, (given, _) in FILES.items()}
    messages = {name: await synced(connected, arrival) for name, arrival in arrivals.items()}
    await at_rest(connected)

    for name, (_, accepted) in FILES.items():
        expected = {LOOK: 2} | ({READ_FILE: accepted} if accepted else {})
        assert await kinds_of_calls(connected, arrivals[name]) == expected, name
        assert [file["status"] for file in messages[name]["attachments"]].count("synced") == accepted, name
    accepted_in_all = sum(accepted for _, accepted in FILES.values())
    assert len(await calls(connected)) == before + 2 * len(FILES) + accepted_in_all


async def test_what_was_told_costs_nothing_more(connected: Connected) -> None:
    """Read, moved, flagged, or notified again: a message that the CRM knows is not asked for a second time."""
    offer = await connected.sent()
    arrival = await answers(connected, offer)
    await synced(connected, arrival)
    await at_rest(connected)
    before = len(await calls(connected))

    mailbox, letter = mailbox_of(connected), in_mailbox(connected, arrival.internet_message_id)
    for folder in ("archive", "junkemail", "deleteditems"):
        mailbox.move(letter, mailbox.folders[folder])
    for message in (letter, in_mailbox(connected, offer["internet_message_id"])):
        mailbox.changed(message)
    await at_rest(connected)

    assert len(await calls(connected)) == before


@pytest.mark.parametrize("with_thread", [False, True], ids=["begins a thread", "answers"])
async def test_a_send_costs_two_writes_and_a_look_for_each_change_told(connected: Connected, with_thread: bool) -> None:
    """Draft and send; the looks are Graph telling of the draft and of the copy in Sent Items."""
    thread = {"thread_id": (await connected.sent())["thread_id"]} if with_thread else {}
    await at_rest(connected)
    before = len(await calls(connected))

    await connected.sent(**thread)
    await at_rest(connected)

    made = Counter(kind_of_call(call) for call in (await calls(connected))[before:])
    begun_by = "POST me/messages/{id}/createReply" if with_thread else "POST me/messages"
    assert made - Counter({LOOK: 2}) == {begun_by: 1, "POST me/messages/{id}/send": 1}
    assert made[LOOK] in (1, 2)


async def test_a_warm_app_asks_nothing_of_entra(http: httpx.AsyncClient) -> None:
    """Once a token is there, sending, answering and receiving take no call for tokens, keys or discovery."""
    # A cloud of its own: whom discovery is for can't be seen, and other tests' users need new tokens at any time.
    async with LocalCloud() as cloud, cloud.api(unique("acme")) as api:
        connected = await newly_connected(Account(cloud, api, http))
        offer = await connected.sent()
        before = len(cloud.entra.requests)

        await synced(connected, await answers(connected, offer, attachments=[PDF]))
        await connected.sent(thread_id=offer["thread_id"])
        await connected.sent()
        await arrives(connected, ADA, "Unrelated")
        await at_rest(connected)

        assert cloud.entra.requests[before:] == []
