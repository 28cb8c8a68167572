"""
A local cloud with somebody on it: what scenes of the demo and end-to-end tests do again and again.

Mail arrives from outside, everything comes to rest, the CRM hears of something, the app's calls to Graph are counted.
"""

import base64
from typing import Any, Literal

import httpx

from tests.cloud.crm import Event
from tests.cloud.local import LocalCloud
from tests.cloud.outlook import REQUEST_ID_PREFIX, Outlook
from tests.cloud.polling import eventually


class ControlError(Exception):
    """An emulator did not understand one of its controls."""


class Stage:
    """
    One running cloud and one person of it.

    email: whose mailbox the mail arrives in.
    """

    def __init__(self, cloud: LocalCloud, http: httpx.AsyncClient, email: str) -> None:
        self.cloud = cloud
        self.email = email
        self.outlook = Outlook(http, cloud.graph.url, cloud.entra.url, email)
        self._http = http

    async def lab(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of a control of an emulator; raises ControlError."""
        answer = await self._http.request(method, url, json=body)
        if answer.is_error:
            raise ControlError(f"{method} {url} answered {answer.status_code} {answer.text}")
        return answer.json()

    async def heard(self, kind: str, after: int = 0, timeout: float = 30) -> Event:  # noqa: ASYNC109 (names what came instead)
        """The first event of this type with a sequence behind `after` that the CRM received."""
        return await self.cloud.crm.wait_for(lambda event: event["type"] == kind and event["sequence"] > after, timeout)

    def last_sequence(self) -> int:
        """The highest sequence the CRM has seen; 0 before the first."""
        return max((event["sequence"] for event in self.cloud.crm.events), default=0)

    def events_after(self, sequence: int) -> list[Event]:
        """What the CRM received behind this sequence."""
        return [event for event in self.cloud.crm.events if event["sequence"] > sequence]

    async def mail_arrives(
        self,
        sender: str,
        subject: str,
        text: str,
        *,
        in_reply_to: str | None = None,
        conversation: Literal["same", "new"] | None = None,
        attachments: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """
        Mail from outside in the person's inbox: `{internet_message_id, id}`.

        in_reply_to: the Message-ID it answers. conversation: whether Outlook files it with what it answers (or, when
        it answers nothing, with the newest message of the same subject); by default as it answers.
        """
        mail = {
            "to": self.email,
            "from": sender,
            "subject": subject,
            "text": text,
            "conversation": conversation or ("same" if in_reply_to else "new"),
            "in_reply_to": in_reply_to,
            "attachments": attachments,
            "headers": headers,
        }
        given = {name: value for name, value in mail.items() if value is not None}
        return dict(await self.lab("POST", f"{self.cloud.graph.url}/_lab/mail", given))

    async def quiet(self) -> None:
        """Return once Graph has delivered every notification and the app has worked off every queue."""

        async def notifications() -> dict[str, Any]:
            told = await self.lab("GET", f"{self.cloud.graph.url}/_lab/notifications")
            return {name: count for name, count in told.items() if name != "settings"}

        async def delivered() -> dict[str, Any] | None:
            told = await notifications()
            return told if told["pending"] == 0 else None

        # What the app does may change a mailbox, which Graph tells of: only when nothing came of it any more, it is quiet.
        before: dict[str, Any] | None = None
        while before != await notifications():
            before = await eventually(delivered, "Graph to deliver its notifications")
            await self.cloud.functions.idle()

    async def app_calls(self) -> list[dict[str, Any]]:
        """Every call to Graph so far that the app made; the person's own Outlook is left out."""
        calls = await self.lab("GET", f"{self.cloud.graph.url}/_lab/requests")
        return [call for call in calls if not str(call["client_request_id"]).startswith(REQUEST_ID_PREFIX)]


def attached(name: str, content_type: str, content: bytes) -> dict[str, str]:
    """A file as the contract's send body and Graph's `/_lab/mail` both take it."""
    return {"name": name, "content_type": content_type, "content_base64": base64.b64encode(content).decode()}
