"""What the demo and the end-to-end tests are played with, on the emulators alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.cloud.lab.developers import examples
from tests.cloud.local import LocalCloud
from tests.cloud.stage import ControlError, Stage, attached

HEALTHY = Path(__file__).parent / "apps" / "healthy"
DANA, ADA = "dana@northwind.example", "ada@customer.example"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    cloud = LocalCloud(app_folder=HEALTHY)
    cloud.directory.add(DANA, "Dana Whitfield")
    async with cloud, httpx.AsyncClient(timeout=30) as http:
        yield Stage(cloud, http, DANA)


async def test_mail_arrives_and_is_answered_in_outlook(stage: Stage) -> None:
    """A contact's mail lies in the inbox with its files; the answer to all leaves for the contact, as an answer."""
    arrived = await stage.mail_arrives(
        ADA, "Hello", "A question", attachments=[attached("a.txt", "text/plain", b"abc")]
    )
    letter = await stage.outlook.find(arrived["internet_message_id"])
    assert letter["hasAttachments"] is True

    await stage.outlook.reply_all(letter["id"], "An answer")
    await stage.quiet()

    [answer] = await stage.lab("GET", f"{stage.cloud.graph.url}/_lab/outgoing")
    assert answer["headers"]["In-Reply-To"] == arrived["internet_message_id"]


async def test_what_outlook_writes_can_be_answered(stage: Stage) -> None:
    """A thread begun in Outlook and the contact's answer to it share one conversation."""
    letter = await stage.outlook.write(ADA, "A walk", "On Sunday?")
    arrived = await stage.mail_arrives(ADA, "RE: A walk", "Gladly", in_reply_to=letter["internetMessageId"])

    assert (await stage.outlook.find(arrived["internet_message_id"]))["conversationId"] == letter["conversationId"]


async def test_the_persons_own_calls_are_not_taken_for_the_apps(stage: Stage) -> None:
    """Only what the app asks of Graph is counted; Outlook's calls are in the log, but not the app's."""
    await stage.outlook.write(ADA, "A walk", "On Sunday?")

    assert await stage.lab("GET", f"{stage.cloud.graph.url}/_lab/requests") != []
    assert await stage.app_calls() == []


async def test_a_control_that_is_not_understood_is_an_error(stage: Stage) -> None:
    """A misspelt control fails the test that sends it."""
    with pytest.raises(ControlError, match="answered 4"):
        await stage.lab("POST", f"{stage.cloud.graph.url}/_lab/mail", {"too": DANA})


async def test_every_example_of_the_lab_page_for_the_emulators_is_understood(stage: Stage) -> None:
    """What a newcomer copies into a terminal works."""
    shown = examples(stage.cloud.addresses, stage.cloud.directory.everyone()[0])
    offer = await stage.outlook.write(ADA, "Our offer", "Here it is.")
    tried = [example for example in shown if "/_lab/" in example.url]

    async with httpx.AsyncClient() as http:
        for example in tried:
            method = "GET" if example.body is None else "POST"
            body = json.loads(json.dumps(example.body).replace("INTERNET_MESSAGE_ID", offer["internetMessageId"]))
            answer = await http.request(method, example.url, headers=dict(example.headers), json=body)
            assert answer.is_success, f"{example.what}: {answer.text}"
    assert len(tried) >= 9
