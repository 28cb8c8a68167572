"""The default email of a user: through which door individual emails go, what keeps that choice, and what may be chosen."""

import asyncio

import pytest

from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import at_rest, left
from tests.e2e.life import Standing, held, sends_and_receives, shown, standing, told_types, trouble
from tests.e2e.storage import Storage
from tests.e2e.witness import Witness, problem_of


async def chosen(who: Connected, default_sender: str) -> Json:
    """The connection that the choice is answered with."""
    answer = await who.api.set_default_sender(who.user_id, default_sender)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def with_choice(before: Standing, default_sender: str) -> Standing:
    """The same, but for the choice."""
    return Standing(before.connection | {"default_sender": default_sender}, before.subscriptions, before.tokens)


async def test_a_choice_changes_the_choice_alone(connected: Connected, storage: Storage) -> None:
    """It is answered with the connection, told to nobody, and may be made again."""
    before, told_before = await standing(connected, storage), told_types(connected)
    assert before.connection["default_sender"] == "outlook"

    for default_sender in ("provider", "provider", "outlook", "outlook"):
        assert await chosen(connected, default_sender) == before.connection | {"default_sender": default_sender}
        assert await standing(connected, storage) == with_choice(before, default_sender)

    await connected.cloud.functions.idle()
    assert told_types(connected) == told_before


async def test_individual_emails_go_through_the_chosen_door(connected: Connected) -> None:
    """With `provider` and no provider nothing is sent or begun, and the refusal says what to do; `outlook` sends again."""
    await chosen(connected, "provider")
    # By its subject: emails of other accounts may still be on their way to the server.
    mail = connected.mail(subject=unique("offer"))

    refused = await connected.api.send(mail, key := unique("key"))

    problem = problem_of(refused)
    assert (problem["status"], problem["code"]) == (409, "provider_not_configured")
    assert "Choose Outlook as the default email" in problem["detail"]
    await at_rest(connected)
    assert left(connected) == []
    assert mail["subject"] not in [taken.subject for taken in connected.cloud.smtp.messages]
    assert (await connected.api.threads()).json()["threads"] == []

    await chosen(connected, "outlook")
    # The refusal was no answer to be kept under the key: nothing was accepted.
    accepted = await connected.api.send(mail, key)
    assert (accepted.status_code, accepted.json()["sender"]["rule"]) == (202, "individual_outlook")
    await connected.heard("message.sent")
    assert len(left(connected)) == 1


async def test_what_was_accepted_before_the_choice_is_sent(connected: Connected) -> None:
    """The door is chosen when an email is accepted."""
    accepted = await connected.api.send(connected.mail(), unique("key"))
    await chosen(connected, "provider")

    await connected.heard("message.sent")
    assert accepted.status_code == 202
    await at_rest(connected)
    assert len(left(connected)) == 1


async def test_threads_sync_whatever_the_choice(connected: Connected) -> None:
    """It is about new emails: an answer to an old one still comes in."""
    offer = await connected.sent()
    await chosen(connected, "provider")

    await connected.is_answered(offer)

    assert told_types(connected)[-1] == "message.synced"


async def test_the_choice_is_kept_by_an_update_and_by_signing_in_again(connected: Connected) -> None:
    """It is the user's, not the mailbox's; only a new connection after a delete begins with Outlook."""
    await chosen(connected, "provider")

    again = await connected.signs_in_again()
    assert again.connection["default_sender"] == "provider"
    updated = await again.updates_to(connected.new_person())
    assert updated.connection["default_sender"] == "provider"
    refused = await updated.api.send(updated.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "provider_not_configured")

    await chosen(updated, "outlook")
    await sends_and_receives(updated)
    await chosen(updated, "provider")
    await updated.api.delete_connection(updated.user_id)
    assert (await updated.signs_in_again()).connection["default_sender"] == "outlook"


async def test_a_choice_can_be_made_while_connecting(account: Account) -> None:
    """Before the mailbox is watched; the watch, which saves the same row, does not undo it."""
    user_id, person = unique("dana"), account.new_person()
    code = await account.completion_code(user_id, person.email)
    async with held(account, person.email, "POST */subscriptions"):
        connecting = (await account.api.complete(user_id, code)).json()

        answer = await account.api.set_default_sender(user_id, "provider")

    assert (answer.status_code, answer.json()["state"]) == (200, "connecting")
    assert (await account.active(user_id, connecting["connection_id"]))["default_sender"] == "provider"


async def test_a_choice_can_be_made_while_microsoft_refuses_us(connected: Connected) -> None:
    """The refusal of a send is another then: signing in again comes before any door."""
    await trouble(connected, "revoked")
    await connected.api.send(connected.mail(), unique("key"))
    await at_rest(connected)

    answer = await chosen(connected, "provider")

    assert (answer["state"], answer["default_sender"]) == ("needs_reconnect", "provider")
    refused = await connected.api.send(connected.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "connection_needs_reconnect")


async def test_there_is_nothing_to_choose_without_a_connection(connected: Connected) -> None:
    """Never connected: 404, as for any id that is not there. Deleted: 409, and the connection stays as it ended."""
    never = await connected.api.set_default_sender(unique("nobody"), "provider")
    assert (never.status_code, problem_of(never)["code"]) == (404, "not_found")

    await connected.api.delete_connection(connected.user_id)
    before = await shown(connected)
    ended = await connected.api.set_default_sender(connected.user_id, "provider")
    assert (ended.status_code, problem_of(ended)["code"]) == (409, "not_connected")
    assert await shown(connected) == before
    async with connected.cloud.api(unique("other")) as elsewhere:
        assert (await elsewhere.set_default_sender(connected.user_id, "provider")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "default_sender"),
        ({"default_sender": None}, "default_sender"),
        ({"default_sender": "Outlook"}, "default_sender"),
        ({"default_sender": "smtp"}, "default_sender"),
        ({"default_sender": ["outlook"]}, "default_sender"),
        ({"default_sender": "provider", "user_id": "somebody"}, "user_id"),
    ],
)
async def test_anything_else_is_no_choice(witness: Witness, body: Json, field: str) -> None:
    """422 that names the field; nothing is changed."""
    user = witness.user
    url = f"{user.cloud.functions_url}/v1/accounts/{user.account_id}/users/{user.user_id}/connection/default-sender"
    key = {"x-functions-key": user.cloud.function_key}

    problem = await witness.refused(lambda: witness.http.put(url, json=body, headers=key), 422, "invalid_request")

    assert [wrong["field"] for wrong in problem["errors"]] == [field]


async def test_choices_at_once_end_in_one_of_them(connected: Connected) -> None:
    """Each is answered, and none undoes what else happens to the connection at that moment."""
    choices = ["provider", "outlook"] * 4

    answers = await asyncio.gather(*(connected.api.set_default_sender(connected.user_id, each) for each in choices))

    assert {answer.status_code for answer in answers} == {200}
    after = await shown(connected)
    assert after["default_sender"] in choices
    assert after == connected.connection | {"default_sender": after["default_sender"]}
