"""What a visitor plays on the lab: the CRM's half through the app's API, the mailbox's half through Graph."""

import uuid
from collections.abc import Callable

import pytest

from tests import files
from tests.integration.lab.visitor import ADA, DANA, LEE, Json, Visitor

PLAN = {"sample": "picture"}


def names(message: Json) -> dict[str, str | None]:
    """The files of a message in the CRM, each with why it was left out."""
    return {file["name"]: file["skipped"] for file in message["attachments"]}


async def from_crm(visitor: Visitor, subject: str) -> tuple[Json, Json]:
    """A thread that begins with an email from the CRM, and that email as the mailbox shows it."""
    thread = await visitor.sends(subject)
    sent = thread["messages"][0]["internet_message_id"]
    return thread, await visitor.in_mailbox(lambda m: m["internet_message_id"] == sent)


async def test_an_email_from_the_crm_is_in_both_halves(visitor: Visitor) -> None:
    """It leaves through Outlook with its file; the mailbox says that it came from the CRM, and where it is there."""
    thread = await visitor.sends("Lab, both halves", "Dear Ada,\n\nhere it <is>.", files=[PLAN])

    [message] = thread["messages"]
    assert (message["direction"], message["status"], message["to"]) == ("outbound", "sent", "Ada Quist")
    assert names(message) == {"plan.png": None}
    copy = await visitor.in_mailbox(lambda m: m["internet_message_id"] == message["internet_message_id"])
    assert (copy["folder"], copy["sync"]["state"], copy["sync"]["reason"]) == ("sentitems", "synced", "from_crm")
    assert (copy["sync"]["thread_id"], copy["sync"]["message_id"]) == (thread["thread_id"], message["message_id"])
    body = (await visitor.get(message["body"])).text
    assert "<p>Dear Ada,</p>" in body
    assert "here it &lt;is&gt;." in body


async def test_an_answer_from_outside_shows_each_file_and_why_it_is_not_here(visitor: Visitor) -> None:
    """The email syncs; of its files one can be downloaded, and each other one is listed with its reason in plain words."""
    thread, copy = await from_crm(visitor, "Lab, files")
    samples = [{"sample": name} for name in ("picture", "too_large", "program", "disguised")]

    await visitor.ada_writes("See my notes.", answers=copy["id"], files=samples)

    found = await visitor.thread_with(thread["thread_id"], lambda m: m["direction"] == "inbound")
    answer = found["messages"][-1]
    assert answer["from"] == "Ada Quist"
    assert answer["why"] == "same Outlook conversation"
    assert names(answer) == {
        "plan.png": None,
        "site-survey.pdf": "Larger than 3 MiB, so it stays in Outlook",
        "viewer.exe": "Files of this type do not sync",
        "invoice.pdf": "Its content is not what its name says",
    }
    [link] = [file["download"] for file in answer["attachments"] if file["download"]]
    download = await visitor.get(link)
    assert download.content == files.png()
    assert download.headers["content-disposition"].startswith("attachment;")
    in_mailbox = await visitor.in_mailbox(lambda m: m["internet_message_id"] == answer["internet_message_id"])
    assert in_mailbox["sync"]["reason"] == "answer"
    assert in_mailbox["attachments"] == 4


async def test_the_crm_answers_in_the_thread(visitor: Visitor) -> None:
    """An answer from the CRM goes to the thread's contact, into the same thread."""
    thread, _ = await from_crm(visitor, "Lab, answer from the CRM")

    found = await visitor.sends("", "One more thing", thread_id=thread["thread_id"], to="")

    assert [m["to"] for m in found["messages"]] == ["Ada Quist", "Ada Quist"]
    assert found["messages"][-1]["origin_words"] == "Sent from the CRM"


@pytest.mark.parametrize("kind", ["reply", "replyAll"])
async def test_what_is_answered_in_outlook_is_in_the_crm(visitor: Visitor, kind: str) -> None:
    """Written in Outlook with files of both sizes, it appears in the thread, its history folded below it."""
    thread, copy = await from_crm(visitor, f"Lab, {kind}")
    await visitor.ada_writes("Agreed?", answers=copy["id"])
    letter = await visitor.in_mailbox(lambda m: m["subject"] == f"Re: Lab, {kind}" and m["sync"]["state"] == "synced")
    place = f"/mailbox/{DANA}/messages/{letter['id']}"

    attached = [PLAN, {"sample": "too_large"}]
    answered = await visitor.post(f"{place}/answer", {"kind": kind, "text": "Agreed.\nDana", "files": attached})

    assert answered.status_code == 202, answered.text
    found = await visitor.thread_with(thread["thread_id"], lambda m: m["origin"] == "outlook")
    message = found["messages"][-1]
    assert message["to"] == "Ada Quist"
    assert {name: why is None for name, why in names(message).items()} == {"plan.png": True, "site-survey.pdf": False}
    body = (await visitor.get(message["body"])).text
    above, _, below = body.partition("<details>")
    assert "Agreed." in above
    assert "Agreed?" not in above
    assert "Agreed?" in below


async def test_an_internal_forward_says_that_no_contact_is_on_it(visitor: Visitor) -> None:
    """Forwarded to a colleague, it is in the thread, marked; in the colleague's own mailbox it is private."""
    thread, copy = await from_crm(visitor, "Lab, forward")

    await visitor.post(
        f"/mailbox/{DANA}/messages/{copy['id']}/answer", {"kind": "forward", "text": "Have a look", "to": LEE}
    )

    found = await visitor.thread_with(thread["thread_id"], lambda m: m["origin"] == "outlook")
    assert found["messages"][-1]["internal"] is True
    at_lee = await visitor.in_mailbox(lambda m: m["subject"] == "FW: Lab, forward", LEE)
    assert at_lee["sync"]["state"] == "private"


async def test_what_begins_in_the_mailbox_stays_private(visitor: Visitor) -> None:
    """Neither a mail that Dana begins, nor one that Ada begins, nor the answers to them reach the CRM; each says why."""
    written = await visitor.post(
        f"/mailbox/{DANA}/messages", {"to": ADA, "subject": "Lab, garden party", "text": "Sunday?"}
    )
    await visitor.ada_writes("With pleasure!", answers=written.json()["id"])
    await visitor.ada_writes("A new idea", subject="Lab, by Ada")

    def private(subject: str) -> Callable[[Json], bool]:
        return lambda m: (m["subject"], m["sync"]["state"]) == (subject, "private") and not m["is_draft"]

    said = [
        (await visitor.in_mailbox(private(subject)))["sync"]
        for subject in ("Lab, garden party", "Re: Lab, garden party", "Lab, by Ada")
    ]
    assert [sync["reason"] for sync in said] == ["begun_in_outlook", "begun_in_outlook", "begun_outside"]
    assert "Ada Quist" in said[-1]["says"]
    events = (await visitor.now())["crm"]["events"]
    assert not [event for event in events if "garden party" in event["words"] or "by Ada" in event["words"]]


async def test_a_file_that_may_not_go_is_named_and_nothing_is_sent(visitor: Visitor) -> None:
    """The app's refusal reaches the page with the file and its reason."""
    body = {"idempotency_key": str(uuid.uuid4()), "to": ADA, "subject": "Lab, refused", "text": "x"}

    refused = await visitor.post("/crm/emails", body | {"files": [PLAN, {"sample": "program"}]})

    assert refused.status_code == 422
    assert refused.json()["files"] == [{"index": 1, "name": "viewer.exe", "reason": "type_not_allowed"}]
    assert "Lab, refused" not in str((await visitor.now())["crm"]["threads"])


async def test_pressing_send_twice_sends_once(visitor: Visitor) -> None:
    """The page's key goes on to the app: the second press gets the first one's answer."""
    body = {"idempotency_key": str(uuid.uuid4()), "to": ADA, "subject": "Lab, twice", "text": "x"}

    first, second = await visitor.post("/crm/emails", body), await visitor.post("/crm/emails", body)

    assert first.json() == second.json()
    await visitor.in_mailbox(lambda m: m["subject"] == "Lab, twice" and m["folder"] == "sentitems")
    listed = (await visitor.now())["mailbox"]["messages"]
    assert len([m for m in listed if m["subject"] == "Lab, twice"]) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": " ; "}, "Say who it goes to."),
        ({"text": " "}, "Write a few words first."),
        ({"thread_id": "thr_unknown"}, "This thread is not there any more."),
        ({"files": [{"sample": "unknown"}]}, "There is no sample 'unknown'"),
        ({"files": [{"name": "a.txt", "content_base64": "?"}]}, "content_base64 of 'a.txt' is not base64."),
    ],
)
async def test_what_cannot_be_sent_is_said_in_a_sentence(visitor: Visitor, changes: Json, words: str) -> None:
    """What the page sends wrongly is answered with a sentence that it shows."""
    body = {"idempotency_key": str(uuid.uuid4()), "to": ADA, "subject": "Lab, wrong", "text": "x"}

    refused = await visitor.post("/crm/emails", body | changes)

    assert refused.status_code in (400, 404)
    assert refused.json()["error"].startswith(words)


async def test_mail_is_read_moved_and_deleted_as_in_outlook(visitor: Visitor) -> None:
    """Counts of folders follow; a file of a message can be downloaded; deleted twice it is gone."""
    await visitor.ada_writes("Read me", subject="Lab, by hand", files=[PLAN])
    letter = await visitor.in_mailbox(lambda m: m["subject"] == "Lab, by hand")
    place = f"/mailbox/{DANA}/messages/{letter['id']}"
    assert letter["is_read"] is False

    opened = (await visitor.get(place)).json()
    [file] = opened["attachments"]
    assert (await visitor.get(file["download"])).content == files.png()
    assert "Read me" in (await visitor.get(opened["body"])).text

    assert (await visitor.post(f"{place}/mark", {"read": True})).status_code == 200
    assert (await visitor.in_mailbox(lambda m: m["id"] == letter["id"]))["is_read"] is True
    await visitor.post(f"{place}/move", {"folder": "archive"})
    assert (await visitor.in_mailbox(lambda m: m["id"] == letter["id"]))["folder"] == "archive"
    assert "archive" in [folder["name"] for folder in (await visitor.now())["mailbox"]["folders"]]
    await visitor.post(f"{place}/delete")
    assert (await visitor.in_mailbox(lambda m: m["id"] == letter["id"]))["folder"] == "deleteditems"
    await visitor.post(f"{place}/delete")
    assert letter["id"] not in [m["id"] for m in (await visitor.now())["mailbox"]["messages"]]
    gone = await visitor.get(place)
    assert (gone.status_code, bool(gone.json()["error"])) == (404, True)


async def test_each_user_has_their_own_conversations_and_delete_stops_them(visitor: Visitor) -> None:
    """Lee sees Lee's threads alone; after Delete they are stopped, and Ada's next answer stays in Lee's mailbox."""
    await visitor.works_as("lee")
    await visitor.connects(LEE)
    thread = await visitor.sends("Lab, Lee's offer")
    assert {t["subject"] for t in (await visitor.now())["crm"]["threads"]} == {"Lab, Lee's offer"}
    copy = await visitor.in_mailbox(lambda m: m["subject"] == "Lab, Lee's offer", LEE)

    async with visitor.cloud.api() as api:
        await api.delete_connection("lee")

    stopped = await visitor.until(
        lambda now: now["crm"]["thread"] if now["crm"]["thread"]["state"] == "stopped" else None,
        "the thread to stop",
        thread=thread["thread_id"],
    )
    assert stopped["subject"] == "Lab, Lee's offer"
    mail = {"sender_address": ADA, "sender_name": "Ada", "subject": "", "text": "Late", "answers": copy["id"]}
    await visitor.post(f"/mailbox/{LEE}/incoming", mail)
    late = await visitor.in_mailbox(lambda m: m["subject"] == "Re: Lab, Lee's offer", LEE)
    assert (late["sync"]["state"], late["sync"]["reason"]) == ("private", "ended")
    await visitor.works_as("dana")
    assert "Lab, Lee's offer" not in {t["subject"] for t in (await visitor.now())["crm"]["threads"]}
