"""
The whole story, played once against the real app: `make demo`.

Each scene does what a person, a CRM or Microsoft would do, over HTTP, and checks what it tells. The last scenes matter
as much as the first: what must not sync does not.
"""

from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx

from tests import files
from tests.cloud.crm_api import CrmApi
from tests.cloud.local import CHECKOUT, LocalCloud
from tests.cloud.narrator import ExpectationError, Narrator
from tests.cloud.polling import eventually
from tests.cloud.request_log import asks_for_content, kind_of_call
from tests.cloud.sign_in import SignInError, sign_in
from tests.cloud.stage import ControlError, Stage, attached

DANA = "dana@northwind.example"
ADA = "ada@customer.example"
STRANGER = "sam@elsewhere.example"
USER = "dana"
SUBJECT = "Our offer for the ground floor"
THREE_MIB = 3 * 1024 * 1024


class Story:
    """The scenes, in order; each builds on what the ones before left behind."""

    def __init__(self, narrator: Narrator, cloud: LocalCloud, api: CrmApi, http: httpx.AsyncClient) -> None:
        self.narrator = narrator
        self.cloud = cloud
        self.api = api
        self.http = http
        self.stage = Stage(cloud, http, DANA)
        self.offer: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}

    async def play(self) -> None:
        """All of it."""
        await self.connect()
        await self.send()
        await self.contact_answers()
        await self.user_answers_from_outlook()
        await self.unrelated_mail_arrives()
        await self.user_begins_a_thread_in_outlook()
        await self.delete()
        await self.late_reply()
        await self.count()

    async def connect(self) -> None:
        n = self.narrator
        n.scene("Dana connects her Outlook mailbox")
        link = await self.called(self.api.start_sign_in(USER, self.cloud.crm.return_url, DANA), 201)
        n.tell("The CRM asks for a sign-in link and opens it in Dana's browser.")
        brought_back = await sign_in(self.http, link["sign_in_url"], self.cloud.entra.url, DANA)
        n.tell("Dana signs in at Microsoft and accepts; her browser comes back to the CRM.")
        n.expect(brought_back.get("result") == "ok", "the browser brought back result=ok and a code", brought_back)
        await self.called(self.api.complete(USER, brought_back["completion_code"]), 200)
        n.tell("The CRM confirms that it is Dana who sits there.")
        n.crm_heard(await self.stage.heard("connection.connected"))

        async def is_live() -> Any:
            connection = (await self.api.connection(USER)).json()
            return connection if (connection["state"], connection["sync_state"]) == ("connected", "active") else None

        connection = await eventually(is_live, "the connection to be connected and active")
        n.expect(connection["email"] == DANA, f"connected as {DANA}, and the mailbox is watched", connection)

    async def send(self) -> None:
        n = self.narrator
        n.scene("Dana writes to Ada from the CRM, with a PDF")
        mail = {
            "kind": "individual",
            "user_id": USER,
            "to": [{"address": ADA, "name": "Ada Quist", "contact_id": "contact-1"}],
            "subject": SUBJECT,
            "html": "<p>Dear Ada, our offer is attached.</p>",
            "attachments": [attached("offer.pdf", "application/pdf", files.pdf())],
        }
        accepted = await self.called(self.api.send(mail, "demo-offer-1"), 202)
        again = await self.called(self.api.send(mail, "demo-offer-1"), 202)
        n.expect(accepted["sender"]["address"] == DANA, f"it goes out through Outlook, as {DANA}", accepted["sender"])
        n.expect(again == accepted, "the CRM asks twice with the same Idempotency-Key and gets the same answer", again)
        event = await self.stage.heard("message.sent")
        n.crm_heard(event)
        self.offer = event["data"]["message"]

        async def left() -> Any:
            return await self.stage.lab("GET", f"{self.cloud.graph.url}/_lab/outgoing")

        await eventually(left, "the e-mail to leave")
        await self.stage.quiet()
        outgoing = await left()
        n.expect(
            [[file["name"] for file in mail["attachments"]] for mail in outgoing] == [["offer.pdf"]],
            "exactly one e-mail left for Ada, with the PDF",
            outgoing,
        )
        self.nothing_after(event["sequence"], "its copy in Sent Items is not told a second time")

    async def contact_answers(self) -> None:
        n = self.narrator
        n.scene("Ada answers, with four files")
        drawing = files.png()
        sent = [
            attached("plan.png", "image/png", drawing),
            attached("site-survey.pdf", "application/pdf", files.pdf(THREE_MIB + 1)),
            attached("viewer.exe", "application/octet-stream", files.windows_executable()),
            attached("invoice.pdf", "application/pdf", files.windows_executable()),
        ]
        arrived = await self.stage.mail_arrives(
            ADA,
            f"RE: {SUBJECT}",
            "Thank you! See my notes.",
            in_reply_to=self.offer["internet_message_id"],
            attachments=sent,
        )
        event = await self.stage.heard("message.synced")
        n.crm_heard(event)
        self.answer = message = event["data"]["message"]
        n.expect(message["thread_id"] == self.offer["thread_id"], "it is in the same thread", message["thread_id"])
        n.expect(
            (message["direction"], message["origin"]) == ("inbound", "contact"), "inbound, from the contact", message
        )
        fates = {file["name"]: file["reason"] for file in message["attachments"]}
        n.expect(
            fates
            == {
                "plan.png": None,
                "site-survey.pdf": "too_large",
                "viewer.exe": "type_not_allowed",
                "invoice.pdf": "content_mismatch",
            },
            "one file synced; too large, not allowed, and not what its name says were left out, each with its reason",
            fates,
        )
        [plan] = [file for file in message["attachments"] if file["name"] == "plan.png"]
        download = await self.api.attachment(plan["attachment_id"])
        n.expect(download.content == drawing, "the CRM downloads the drawing, byte for byte", download)
        heaviest = max(call["bytes"] for call in await self.stage.app_calls())
        n.expect(heaviest < THREE_MIB, "the file over 3 MiB was never downloaded", f"an answer of {heaviest:,} bytes")
        n.expect(
            message["internet_message_id"] == arrived["internet_message_id"],
            "the event names the message by its Message-ID",
            message["internet_message_id"],
        )

    async def user_answers_from_outlook(self) -> None:
        n = self.narrator
        n.scene("Dana answers from Outlook, not from the CRM")
        letter = await self.stage.outlook.find(self.answer["internet_message_id"])
        before = self.stage.last_sequence()
        await self.stage.outlook.reply_all(letter["id"], "Gladly, Ada. I shall call you tomorrow.")
        event = await self.stage.heard("message.synced", after=before)
        n.crm_heard(event)
        message = event["data"]["message"]
        n.expect(
            (message["direction"], message["origin"], message["thread_id"])
            == ("outbound", "outlook", self.offer["thread_id"]),
            "the CRM sees it in the thread, as sent from Outlook",
            message,
        )

    async def unrelated_mail_arrives(self) -> None:
        n = self.narrator
        n.scene("Mail that is none of the CRM's business arrives")
        before = self.stage.last_sequence()
        mixed_up = await self.stage.mail_arrives(
            STRANGER,
            f"RE: {SUBJECT}",
            "We have an offer, too.",
            conversation="same",
            headers={"In-Reply-To": "<another@elsewhere.example>"},
        )
        private = [
            mixed_up,
            await self.stage.mail_arrives(STRANGER, SUBJECT, "The same subject, by chance."),
            await self.stage.mail_arrives(STRANGER, "Lunch on Friday?", "The usual place?"),
            await self.stage.mail_arrives(ADA, "Something else entirely", "A new conversation, begun by Ada."),
        ]
        n.tell("Twice with the offer's very subject, from a stranger; about lunch; and from Ada, about something else.")
        offer, stranger = [
            await self.stage.outlook.find(mail["internet_message_id"]) for mail in (self.offer, mixed_up)
        ]
        n.expect(
            stranger["conversationId"] == offer["conversationId"],
            "Outlook has even filed one of them with the offer, as it may with equal subjects",
            stranger["conversationId"],
        )
        await self.stage.quiet()
        self.nothing_after(before, "the CRM was told nothing")
        calls = await self.stage.app_calls()
        looked_at = [[call for call in calls if mail["id"] in call["path"]] for mail in private]
        n.expect(all(looked_at), "the app looked at each of them, by its keys and addresses", looked_at)
        read = [call for calls in looked_at for call in calls if asks_for_content(call)]
        n.expect(not read, "and never asked Graph for a body, a preview or a file of any of them", read)

    async def user_begins_a_thread_in_outlook(self) -> None:
        n = self.narrator
        n.scene("Dana begins a conversation in Outlook, even with Ada")
        before = self.stage.last_sequence()
        letter = await self.stage.outlook.write(ADA, "Private: the garden party", "Will you come?")
        await self.stage.mail_arrives(
            ADA, "RE: Private: the garden party", "With pleasure!", in_reply_to=letter["internetMessageId"]
        )
        await self.stage.quiet()
        self.nothing_after(before, "neither it nor Ada's answer syncs: it did not begin in the CRM")

    async def delete(self) -> None:
        n = self.narrator
        n.scene("Dana deletes the connection")
        await self.called(self.api.delete_connection(USER), 200)
        n.crm_heard(await self.stage.heard("connection.disconnected"))
        await self.stage.quiet()
        watched = await self.stage.lab("GET", f"{self.cloud.graph.url}/_lab/subscriptions")
        n.expect(watched == [], "nothing at Microsoft watches the mailbox any more", watched)
        await self.called(self.api.delete_connection(USER), 200)
        n.expect(True, "deleting it again is the same, and no error")

    async def late_reply(self) -> None:
        n = self.narrator
        n.scene("Ada answers once more")
        before = self.stage.last_sequence()
        await self.stage.mail_arrives(
            ADA, f"RE: {SUBJECT}", "One more thing …", in_reply_to=self.offer["internet_message_id"]
        )
        await self.stage.quiet()
        self.nothing_after(before, "it stays in Outlook: the CRM is not told")

    async def count(self) -> None:
        n = self.narrator
        n.scene("What there is to count")
        feed = (await self.called(self.api.events(), 200))["events"]
        n.expect(
            [event["sequence"] for event in feed] == list(range(1, len(feed) + 1)),
            "the feed of events has no gap",
            feed,
        )
        pushed = {event["id"] for event in self.cloud.crm.events}
        n.expect(pushed == {event["id"] for event in feed}, "what was pushed to the CRM and the feed agree", pushed)
        n.expect(not self.cloud.crm.refused, "every push carried a good signature", self.cloud.crm.refused)
        n.numbers("Events the CRM received", Counter(event["type"] for event in feed))
        n.numbers(
            "Calls of the app to Microsoft Graph", Counter(kind_of_call(call) for call in await self.stage.app_calls())
        )

    async def called(self, call: Awaitable[httpx.Response], status: int) -> dict[str, Any]:
        """The JSON of a call to the app that must have answered `status`."""
        answer = await call
        if answer.status_code != status:
            raise ExpectationError(
                f"{status} from {answer.request.method} {answer.request.url.path}",
                f"{answer.status_code} {answer.text}",
            )
        return dict(answer.json())

    def nothing_after(self, sequence: int, that: str) -> None:
        """Expect that the CRM got no event behind this one."""
        more = self.stage.events_after(sequence)
        self.narrator.expect(not more, that, more)


async def play(app_folder: Path = CHECKOUT) -> int:
    """Play the story with the app in `app_folder`; 0 when all went as told, else 1 with what was expected and what came."""
    narrator = Narrator()
    narrator.title("Two-way Outlook e-mail sync, played once on this machine")
    narrator.tell("The app is the real one; Microsoft 365 and the CRM are emulators beside it. Starting …")
    cloud = LocalCloud(app_folder=app_folder)
    cloud.directory.add(DANA, "Dana Whitfield", ["dana.whitfield@northwind.example"])
    async with cloud, cloud.api() as api, httpx.AsyncClient(timeout=60) as http:
        try:
            await Story(narrator, cloud, api, http).play()
        except (ExpectationError, SignInError, ControlError, TimeoutError) as problem:
            narrator.failed(f"{problem}\n\nWhat the app complained about:\n{_complaints(cloud.functions.log_path)}")
            return 1
    narrator.end("It works.")
    return 0


def _complaints(log: Path, lines: int = 20) -> str:
    """The last warnings and errors of the app's own log."""
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in said if " WARNING " in line or " ERROR " in line][-lines:]) or "nothing"
