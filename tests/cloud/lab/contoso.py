"""
Contoso CRM's backend: it holds the function key, and the app's public API is all it knows.

It follows the feed of events as a real one would: what an event names is read again, the rest is kept. So one look costs
the app a handful of small reads, however many threads there are.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.cloud.crm_api import CrmApi
from tests.cloud.lab.refusal import Refusal
from tests.cloud.lab.samples import File

type Json = dict[str, Any]

#: A message in one of these goes on without an event.
_UNDER_WAY = frozenset({"queued", "sending"})
_PAGE = 100


@dataclass(frozen=True)
class CrmUser:
    """Somebody who works with the CRM. Which mailbox is theirs, only the sign-in at Microsoft tells."""

    user_id: str
    name: str
    role: str


@dataclass(frozen=True)
class CrmContact:
    """Somebody the CRM writes to. `contact_id` and `name` are empty for whom it does not know."""

    contact_id: str
    name: str
    address: str


USERS = (CrmUser("dana", "Dana Whitfield", "Account manager"), CrmUser("lee", "Lee Okafor", "Sales"))
CONTACTS = (
    CrmContact("contact-ada", "Ada Quist", "ada@customer.example"),
    CrmContact("contact-ben", "Ben Rossi", "ben@builder.example"),
)


@dataclass(frozen=True)
class NewEmail:
    """What a user wrote in the CRM. Without `thread_id` it begins a thread."""

    user_id: str
    to: Sequence[CrmContact]
    subject: str
    html: str
    files: Sequence[File] = ()
    thread_id: str | None = None


@dataclass(frozen=True)
class Known:
    """
    What the CRM knows at one moment.

    events: the whole feed, oldest first. connections: by user id, None where there never was one. threads: by id, each
    with its `messages`, oldest first. All of it as the API answered.
    """

    events: Sequence[Json] = ()
    connections: Mapping[str, Json | None] = field(default_factory=dict)
    threads: Mapping[str, Json] = field(default_factory=dict)


class Contoso:
    """The backend of one account. `look` is for many at once; each call asks the app for what is new."""

    def __init__(self, api: CrmApi) -> None:
        self._api = api
        self._looking = asyncio.Lock()
        self._events: list[Json] = []
        self._threads: dict[str, Json] = {}
        self._to_read_again: set[str] = set()

    async def look(self) -> Known:
        """Everything, up to date; raises Refusal where the app refuses."""
        async with self._looking:
            await self._follow_feed()
            await self._read_threads()
            connections = await asyncio.gather(*(self._connection(user.user_id) for user in USERS))
            users = [user.user_id for user in USERS]
            return Known(tuple(self._events), dict(zip(users, connections, strict=True)), dict(self._threads))

    async def send(self, email: NewEmail, idempotency_key: str) -> Json:
        """Hand an email to the app: the contract's 202. Raises Refusal with the app's own words."""
        body = {
            "kind": "individual",
            "user_id": email.user_id,
            "to": [
                {"address": c.address, "name": c.name or None, "contact_id": c.contact_id or None} for c in email.to
            ],
            "subject": email.subject,
            "html": email.html,
            "attachments": [
                {"name": f.name, "content_type": f.content_type, "content_base64": f.base64} for f in email.files
            ],
            "thread_id": email.thread_id,
        }
        accepted = _json(await self._api.send(body, idempotency_key))
        self._to_read_again |= {message["thread_id"] for message in accepted["messages"]}
        return accepted

    async def settings_page(self, user_id: str, return_url: str) -> Json:
        """The link to the app's settings page for this user: `{url, expires_at}`."""
        return _json(await self._api.settings_page(user_id, return_url))

    async def complete(self, user_id: str, completion_code: str) -> Json:
        """Confirm that this user is who came back from Microsoft: the connection."""
        return _json(await self._api.complete(user_id, completion_code))

    async def attachment(self, attachment_id: str) -> tuple[bytes, str]:
        """The bytes of a file that synced, and its Content-Disposition."""
        answer = _good(await self._api.attachment(attachment_id))
        return answer.content, answer.headers["content-disposition"]

    async def message(self, message_id: str) -> Json:
        """One message with its whole body."""
        return _json(await self._api.message(message_id))

    async def event(self, event_id: str) -> Json:
        """One event with how its delivery went."""
        return _json(await self._api.event(event_id))

    async def close(self) -> None:
        """Close the connections to the app."""
        await self._api.close()

    async def _follow_feed(self) -> None:
        more = True
        while more:
            after = self._events[-1]["sequence"] if self._events else 0
            page = _json(await self._api.events(after, _PAGE))
            for event in page["events"]:
                self._note(event)
            more = page["has_more"]

    def _note(self, event: Json) -> None:
        self._events.append(event)
        if message := event["data"].get("message"):
            self._to_read_again.add(message["thread_id"])
        else:  # a connection came or went: that may have stopped or erased any of its threads
            self._to_read_again |= self._threads.keys()

    async def _read_threads(self) -> None:
        # Taken before anything is read: what is named meanwhile is read the next time.
        named, self._to_read_again = self._to_read_again, set()
        try:
            listed = await self._listed()
            self._threads = {thread_id: t for thread_id, t in self._threads.items() if thread_id in listed}
            outdated = [i for i, header in listed.items() if i in named or self._outdated(i, header)]
            for thread in await asyncio.gather(*(self._thread(thread_id) for thread_id in outdated)):
                if thread is not None:
                    self._threads[thread["thread_id"]] = thread
        except BaseException:
            self._to_read_again |= named
            raise

    def _outdated(self, thread_id: str, header: Json) -> bool:
        kept = self._threads.get(thread_id)
        return (
            kept is None
            or any(kept[name] != value for name, value in header.items())
            or any(message["status"] in _UNDER_WAY for message in kept["messages"])
        )

    async def _listed(self) -> dict[str, Json]:
        listed: dict[str, Json] = {}
        query: dict[str, str] = {}
        while True:
            page = _json(await self._api.threads(**query))
            listed |= {thread["thread_id"]: thread for thread in page["threads"]}
            if page["next_after"] is None:
                return listed
            query = {"after": page["next_after"]}

    async def _thread(self, thread_id: str) -> Json | None:
        """The thread with its messages; None where it was erased since it was listed."""
        answer = await self._api.thread(thread_id)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _json(answer)

    async def _connection(self, user_id: str) -> Json | None:
        answer = await self._api.connection(user_id)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _json(answer)


def _json(answer: httpx.Response) -> Json:
    return dict(_good(answer).json())


def _good(answer: httpx.Response) -> httpx.Response:
    """The answer, unless the app refused: then its problem document (RFC 9457) as a Refusal."""
    if answer.is_success:
        return answer
    try:
        problem = dict(answer.json())
    except ValueError:
        problem = {}
    words = problem.get("detail") or f"The app answered {answer.status_code}."
    raise Refusal(answer.status_code, words, code=problem.get("code"), files=problem.get("files", []))
