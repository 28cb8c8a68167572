"""A person at work in Outlook: their own mailbox, through Graph, with a token that is Outlook's and not our app's."""

from typing import Any

import httpx

from tests.cloud.polling import eventually

#: Marks these calls in Graph's request log, to tell them from the app's.
REQUEST_ID_PREFIX = "0071100c-"


class Outlook:
    """
    One person's Outlook. Each method is what one click there does.

    graph_url, entra_url: roots of the emulators, without a trailing slash.
    """

    def __init__(self, http: httpx.AsyncClient, graph_url: str, entra_url: str, email: str) -> None:
        self._http = http
        self._root = f"{graph_url}/v1.0/me"
        self._entra_url = entra_url
        self.email = email

    async def find(self, internet_message_id: str, folder: str | None = None) -> dict[str, Any]:
        """The message with this Message-ID, once it is there. folder: a well-known name; None: whatever folder."""
        quoted = internet_message_id.replace("'", "''")
        messages = f"/mailFolders/{folder}/messages" if folder else "/messages"

        async def look() -> dict[str, Any] | None:
            found = await self._call("GET", messages, params={"$filter": f"internetMessageId eq '{quoted}'"})
            return next(iter(found["value"]), None)

        return await eventually(look, f"{internet_message_id} in {folder or 'the mailbox'} of {self.email}")

    async def reply_all(self, message_id: str, text: str) -> dict[str, Any]:
        """Answer everybody with a few words above the quoted message; its copy in Sent Items."""
        return await self._send(await self.draft_answer(message_id, text))

    async def draft_answer(self, message_id: str, text: str) -> dict[str, Any]:
        """Begin an answer to everybody, and leave it in Drafts."""
        return await self._call("POST", f"/messages/{message_id}/createReplyAll", json={"comment": text})

    async def write(self, to: str, subject: str, text: str) -> dict[str, Any]:
        """Begin a new conversation; its copy in Sent Items."""
        draft = await self._call(
            "POST",
            "/messages",
            json={
                "subject": subject,
                "body": {"contentType": "text", "content": text},
                "toRecipients": [{"emailAddress": {"address": to}}],
            },
        )
        return await self._send(draft)

    async def _send(self, draft: dict[str, Any]) -> dict[str, Any]:
        """Send, and wait until it has left: Graph says 202 before that."""
        await self._call("POST", f"/messages/{draft['id']}/send")
        return await self.find(draft["internetMessageId"], "sentitems")

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        token = await self._http.post(
            f"{self._entra_url}/_lab/token", json={"email": self.email, "scope": "Mail.ReadWrite Mail.Send"}
        )
        token.raise_for_status()
        answer = await self._http.request(
            method,
            f"{self._root}{path}",
            headers={
                "Authorization": f"Bearer {token.json()['access_token']}",
                "client-request-id": f"{REQUEST_ID_PREFIX}0000-4000-8000-000000000000",
            },
            **options,
        )
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}
