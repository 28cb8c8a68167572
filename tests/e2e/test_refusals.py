"""Sends that Outlook refuses: each is told once as failed, in plain words, with what to do; the message route says the same."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sync.domain import send_refusal
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import Played, at_rest, fault, heard_of, left, mailbox_of, told, users, writes

#: Graph's status and code, and a word of what to do.
REFUSALS = [
    (403, "ErrorSendAsDenied", "right to send"),
    (403, "ErrorAccountSuspend", "unblock"),
    (403, "ErrorQuotaExceeded", "Delete or archive"),
    (507, "ErrorQuotaExceeded", "Delete or archive"),
    (507, "UnknownError", "Delete or archive"),
    (403, "ErrorSubmissionQuotaExceeded", "Wait"),
    (400, "ErrorExceededMessageLimit", "Wait"),
    (413, "ErrorMessageSizeExceeded", "smaller files"),
    (400, "ErrorInvalidRecipients", "Check the addresses"),
    (403, "ErrorAccessDenied", "administrator"),
    (423, "ErrorMailboxLocked", "unlock"),
    (400, "ErrorSomethingNew", ""),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refused(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[Played[tuple[int, str, str], Json]]:
    """Each of them, on an account of its own: the event, the message as shown, what was told, and what left."""
    async with users(cloud, http, len(REFUSALS)) as connected:
        by_case = dict(zip(REFUSALS, connected, strict=True))

        async def play(case: tuple[int, str, str]) -> Json:
            status, code, _ = case
            user = by_case[case]
            await fault(user, "POST */send", status=status, code=code, message="GraphSpeak.")
            return await outcome(user)

        yield await Played.at_once(REFUSALS, play)


async def outcome(of: Connected) -> Json:
    """What becomes of an email that is refused."""
    accepted = await of.api.send(of.mail(), unique("key"))
    message_id = accepted.json()["messages"][0]["message_id"]
    event = await heard_of(of, "message.failed", message_id)
    await at_rest(of)
    shown = (await of.api.message(message_id)).json()
    return {
        "problem": event["data"]["problem"],
        "shown": (shown["status"], shown["problem"]),
        "told": [kind for kind, _ in told(of)],
        "left": left(of),
        "sends": (await writes(of)).count("POST me/messages/{id}/send"),
    }


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case[0]} {case[1]}")
async def test_a_refusal_says_what_to_do(
    refused: Played[tuple[int, str, str], Json], case: tuple[int, str, str]
) -> None:
    """Nothing leaves, nothing is tried again, and a person can act on what they are told."""
    status, code, advice = case
    came = refused[case]

    detail, what_to_do = send_refusal.explained(code, status, "GraphSpeak.")
    assert came["problem"] == {"code": code, "detail": detail} | ({"what_to_do": what_to_do} if what_to_do else {})
    assert advice in came["problem"].get("what_to_do", "")
    assert came["shown"] == ("failed", came["problem"])
    assert came["told"] == ["message.failed"]
    assert (came["left"], came["sends"]) == ([], 1)


async def test_a_sender_address_that_the_mailbox_may_not_use(connected: Connected) -> None:
    """The user put somebody else's address into the draft in Outlook: Graph's own ErrorSendAsDenied, at the moment of sending."""
    await fault(connected, "POST */me/messages", delay_s=1.0, applied=True)
    accepted = await connected.api.send(connected.mail(), unique("key"))
    message_id = accepted.json()["messages"][0]["message_id"]
    await draft_is_sent_as(connected, "ceo@elsewhere.example")

    event = await heard_of(connected, "message.failed", message_id)
    await at_rest(connected)

    assert event["data"]["problem"]["code"] == "ErrorSendAsDenied"
    assert "right to send" in event["data"]["problem"]["what_to_do"]
    assert left(connected) == []


async def draft_is_sent_as(of: Connected, address: str) -> None:
    """The draft that is being made has this sender, before anybody sends it."""

    async def look() -> bool:
        drafts = [message for message in mailbox_of(of).messages() if message.is_draft]
        for draft in drafts:
            draft.fields["from"] = {"emailAddress": {"address": address, "name": address}}
        return bool(drafts)

    await eventually(look, "the draft")
