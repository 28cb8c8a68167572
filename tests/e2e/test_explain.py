"""Why a message of the mailbox syncs or does not, asked for by its Message-ID: what is told is what happens, and nothing more."""

import asyncio
from typing import Any

import httpx

from tests.cloud.polling import eventually
from tests.cloud.request_log import asks_for_content
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    STRANGER,
    Arrival,
    answers,
    arrives,
    at_rest,
    calls,
    fault,
    in_mailbox,
    newly_connected,
    synced,
    told,
)

COLLEAGUE = "carol@elsewhere.example"


async def explained(of: Connected, message: Arrival | str) -> Json:
    """The verdict, as the CRM gets it."""
    asked = message.internet_message_id if isinstance(message, Arrival) else message
    answer = await of.api.explain(of.user_id, asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def without_keys(verdict: Json) -> Json:
    """All but the keys tried and the words."""
    return {name: value for name, value in verdict.items() if name not in ("keys", "why")}


def refusal(answer: httpx.Response) -> tuple[int, Any, Any]:
    """Status, code, and whether trying again can help."""
    return answer.status_code, answer.json()["code"], answer.json()["retryable"]


async def test_a_reply_and_the_email_it_answers(connected: Connected) -> None:
    """Both sync as what they are in the CRM; the reply by its keys, each shown. Brackets may be left out."""
    offer = await connected.sent()
    reply = await answers(connected, offer)
    message = await synced(connected, reply)
    verdict = await explained(connected, reply)
    assert without_keys(verdict) == {
        "found": True,
        "belongs": True,
        "syncs": True,
        "thread_id": offer["thread_id"],
        "matched_by": message["matched_by"],
        "message_id": message["message_id"],
    }
    by_kind = {key["kind"]: key for key in verdict["keys"]}
    assert by_kind["message_id"] == {
        "kind": "message_id",
        "value": offer["internet_message_id"],
        "matched": True,
        "why": "In-Reply-To leads to a thread",
    }
    assert by_kind["conversation"]["matched"]
    assert await explained(connected, reply.internet_message_id.strip("<>")) == verdict

    await at_rest(connected)
    copy = await explained(connected, offer["internet_message_id"])
    assert (copy["syncs"], copy["thread_id"], copy["message_id"]) == (True, offer["thread_id"], offer["message_id"])
    assert "message.sent" in copy["why"]


async def test_what_does_not_sync_says_why(connected: Connected) -> None:
    """Mail begun in the mailbox, a stranger in the same conversation, a draft, and what is not there at all."""
    offer = await connected.sent()
    begun = await arrives(connected, ADA, "The garden party")
    stranger = await arrives(connected, STRANGER, offer["subject"], conversation="same")
    await at_rest(connected)
    for arrival, why in ((begun, "no key leads to a thread"), (stranger, "only the conversation id matches")):
        verdict = await explained(connected, arrival)
        assert (verdict["found"], verdict["belongs"], verdict["syncs"], verdict["thread_id"]) == (
            True,
            False,
            False,
            None,
        )
        assert verdict["message_id"] is None
        assert verdict["why"].startswith(why)
    tried = {key["kind"]: key["matched"] for key in (await explained(connected, stranger))["keys"]}
    assert tried == {"conversation": True, "conversation_index": False}

    answered = in_mailbox(connected, offer["internet_message_id"]).mutable_id
    draft = await connected.stage.outlook.draft_answer(answered, "Not yet")
    shown = await explained(connected, draft["internetMessageId"])
    assert (shown["found"], shown["syncs"], shown["why"]) == (True, False, "it is a draft")
    for nobodys in ("<nobody@nowhere.example>", "not an id' or 'a' eq 'a"):
        assert without_keys(await explained(connected, nobodys)) == {
            "found": False,
            "belongs": False,
            "syncs": False,
            "thread_id": None,
            "matched_by": None,
            "message_id": None,
        }
    assert told(connected) == [("message.sent", offer["message_id"])]


async def test_only_keys_are_read_and_nothing_is_told(connected: Connected) -> None:
    """One question to Graph, for keys and addresses; the feed stays as it was, and no subject or body is in the answer."""
    private = await arrives(connected, ADA, "Zanzibar", "Quite private.")
    await at_rest(connected)
    before, feed = len(await calls(connected)), await connected.feed()
    answer = await connected.api.explain(connected.user_id, private.internet_message_id)
    assert "Zanzibar" not in answer.text
    assert "private" not in answer.text
    made = (await calls(connected))[before:]
    assert [(call["method"], call["path"]) for call in made] == [("GET", "/v1.0/me/messages")]
    assert not asks_for_content(made[0])
    assert await connected.feed() == feed


async def test_a_delivery_report_is_told_on_its_email(connected: Connected) -> None:
    """It belongs and is no message; the email that it is about is named."""
    offer = await connected.sent()
    given = {"mailbox": connected.email, "internet_message_id": offer["internet_message_id"], "address": ADA}
    arrived = await connected.stage.lab("POST", f"{connected.cloud.graph.url}/_lab/bounce", given)
    await at_rest(connected)
    verdict = await explained(connected, arrived["internet_message_id"])
    assert (verdict["belongs"], verdict["syncs"], verdict["thread_id"]) == (True, False, offer["thread_id"])
    assert verdict["message_id"] == offer["message_id"]
    assert "delivery report" in verdict["why"]


async def test_a_forward_among_colleagues(connected: Connected) -> None:
    """It belongs; as forwarded copies are synced by default, so is this one."""
    offer = await connected.sent()
    forward = await answers(connected, offer, sender=COLLEAGUE)
    message = await synced(connected, forward)
    verdict = await explained(connected, forward)
    assert message["involves_contact"] is False
    assert (verdict["syncs"], verdict["message_id"]) == (True, message["message_id"])


async def test_another_users_mailbox_is_another(connected: Connected) -> None:
    """A message is looked for in the mailbox of the user who is named, and nowhere else."""
    offer = await connected.sent()
    other = await newly_connected(Account(connected.cloud, connected.api, connected.http))
    mine, theirs = await asyncio.gather(
        explained(connected, offer["internet_message_id"]), explained(other, offer["internet_message_id"])
    )
    assert (mine["found"], theirs["found"]) == (True, False)


async def test_without_a_mailbox_there_is_no_verdict(connected: Connected) -> None:
    """Never connected, Graph out of order, a sign-in that ran out, and disconnected: each as on every other route."""
    offer = await connected.sent()
    await at_rest(connected)
    asked = offer["internet_message_id"]
    assert refusal(await connected.api.explain(unique("nobody"), asked)) == (404, "not_found", False)
    for nothing in ("", " ", "a\nb"):
        assert refusal(await connected.api.explain(connected.user_id, nothing)) == (422, "invalid_request", False)
    for status in (429, 503):
        await fault(connected, "GET */me/messages", status=status, retry_after=1, times=1)
        answer = await connected.api.explain(connected.user_id, asked)
        assert refusal(answer) == (503, "temporarily_unavailable", True)
        assert int(answer.headers["Retry-After"]) >= 1

    async def pause_is_over() -> bool:
        return (await connected.api.explain(connected.user_id, asked)).status_code == 200

    await eventually(pause_is_over, "Graph's Retry-After to be over")
    await connected.stage.lab("POST", f"{connected.cloud.entra.url}/_lab/revoke", {"email": connected.email})
    await fault(connected, "GET */me/messages", status=401, code="InvalidAuthenticationToken", times=9)
    for _ in range(2):
        refused = await connected.api.explain(connected.user_id, asked)
        assert refusal(refused) == (409, "connection_needs_reconnect", False)
    assert (await connected.api.connection(connected.user_id)).json()["state"] == "needs_reconnect"
    await connected.api.delete_connection(connected.user_id)
    assert refusal(await connected.api.explain(connected.user_id, asked)) == (409, "not_connected", False)
