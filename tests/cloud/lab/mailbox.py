"""
One person in their own mailbox: everything is done through Graph, with a token of Outlook's, as Outlook would.

Only the list that is looked at every second is asked of the emulator's own control (`/_lab/mailboxes/…`), so that Graph's
log shows what the app and the person did, and not this page looking.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import httpx

from tests.cloud.lab.refusal import Refusal
from tests.cloud.lab.samples import File
from tests.cloud.outlook import REQUEST_ID_PREFIX

type Json = dict[str, Any]
type AnswerKind = Literal["reply", "replyAll", "forward"]

#: From here on a file needs an upload session (https://learn.microsoft.com/graph/outlook-large-attachments).
_UPLOAD_FROM_BYTES = 3_000_000
#: Of an upload, one piece: a multiple of 320 KiB, as the documentation asks.
_PIECE_BYTES = 10 * 320 * 1024
_SHOWN = "id,subject,body,from,toRecipients,ccRecipients,receivedDateTime,isDraft,isRead,internetMessageId"
_OPENING_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)


class PersonalMailbox:
    """
    The mailbox of the person with this address.

    graph_url, entra_url: roots of the emulators. Message ids are immutable ones. What Graph refuses is a Refusal with
    Graph's own words.
    """

    def __init__(self, http: httpx.AsyncClient, graph_url: str, entra_url: str, email: str) -> None:
        self._http = http
        self._graph_url = graph_url
        self._entra_url = entra_url
        self._token = ""
        self.email = email

    async def messages(self) -> list[Json]:
        """Everything in the mailbox, oldest first, as `GET /_lab/mailboxes/{email}/messages` has it."""
        answer = await self._http.get(f"{self._graph_url}/_lab/mailboxes/{self.email}/messages")
        return list(_good(answer).json())

    async def message(self, message_id: str) -> Json:
        """One message with its body and `attachments`."""
        message = await self._call("GET", f"/messages/{message_id}", params={"$select": _SHOWN})
        attachments = await self._call(
            "GET", f"/messages/{message_id}/attachments", params={"$select": "id,name,contentType,size,isInline"}
        )
        return message | {"attachments": attachments["value"]}

    async def attachment(self, message_id: str, attachment_id: str) -> tuple[str, bytes]:
        """The name and the bytes of a file."""
        place = f"/messages/{message_id}/attachments/{attachment_id}"
        named = await self._call("GET", place, params={"$select": "name"})
        return named["name"], (await self._answer("GET", f"{place}/$value")).content

    async def write(self, to: Sequence[str], subject: str, text: str, files: Sequence[File]) -> str:
        """Begin a new conversation; the id of the message."""
        draft = await self._call(
            "POST",
            "/messages",
            json={
                "subject": subject,
                "body": {"contentType": "html", "content": html_of(text)},
                "toRecipients": _recipients(to),
            },
        )
        await self._send(draft, files)
        return str(draft["id"])

    async def answer(
        self, message_id: str, kind: AnswerKind, text: str, files: Sequence[File], to: Sequence[str] = ()
    ) -> None:
        """Answer or forward a message, with its history below. to: whom to forward it to."""
        create = f"create{kind[0].upper()}{kind[1:]}"
        body = {"toRecipients": _recipients(to)} if kind == "forward" else None
        draft = await self._call("POST", f"/messages/{message_id}/{create}", json=body)
        content = _above_history(html_of(text), draft["body"]["content"])
        await self._call(
            "PATCH", f"/messages/{draft['id']}", json={"body": {"contentType": "html", "content": content}}
        )
        await self._send(draft, files)

    async def mark(self, message_id: str, *, read: bool) -> None:
        """Mark a message as read or unread."""
        await self._call("PATCH", f"/messages/{message_id}", json={"isRead": read})

    async def move(self, message_id: str, folder: str) -> None:
        """Move a message to a folder, by its well-known name."""
        await self._call("POST", f"/messages/{message_id}/move", json={"destinationId": folder})

    async def delete(self, message_id: str) -> None:
        """To Deleted Items, and from there for good."""
        await self._answer("DELETE", f"/messages/{message_id}")

    async def receive(self, mail: Mapping[str, Any]) -> Json:
        """Mail from outside arrives: `{internet_message_id, id}`. mail: as for `POST /_lab/mail`, without `to`."""
        answer = await self._http.post(f"{self._graph_url}/_lab/mail", json={"to": self.email, **mail})
        return dict(_good(answer).json())

    async def _send(self, draft: Json, files: Sequence[File]) -> None:
        for file in files:
            await self._attach(draft["id"], file)
        await self._answer("POST", f"/messages/{draft['id']}/send")

    async def _attach(self, draft_id: str, file: File) -> None:
        if len(file.content) < _UPLOAD_FROM_BYTES:
            attachment = {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": file.name,
                "contentType": file.content_type,
                "contentBytes": file.base64,
            }
            await self._call("POST", f"/messages/{draft_id}/attachments", json=attachment)
            return
        size = len(file.content)
        item = {"attachmentType": "file", "name": file.name, "size": size, "contentType": file.content_type}
        session = await self._call(
            "POST", f"/messages/{draft_id}/attachments/createUploadSession", json={"AttachmentItem": item}
        )
        for start in range(0, size, _PIECE_BYTES):
            piece = file.content[start : start + _PIECE_BYTES]
            span = f"bytes {start}-{start + len(piece) - 1}/{size}"
            _good(await self._http.put(session["uploadUrl"], content=piece, headers={"Content-Range": span}))

    async def _call(self, method: str, path: str, **options: Any) -> Json:
        answer = await self._answer(method, path, **options)
        return dict(answer.json()) if answer.content else {}

    async def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call to Graph; a token that is no longer taken is replaced once."""
        token = self._token or await self._new_token()
        answer = await self._ask(token, method, path, **options)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            answer = await self._ask(await self._new_token(), method, path, **options)
        return _good(answer)

    async def _new_token(self) -> str:
        issued = await self._http.post(
            f"{self._entra_url}/_lab/token", json={"email": self.email, "scope": "Mail.ReadWrite Mail.Send"}
        )
        self._token = str(_good(issued).json()["access_token"])
        return self._token

    async def _ask(self, token: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Prefer": 'IdType="ImmutableId"',
            "client-request-id": f"{REQUEST_ID_PREFIX}0000-4000-8000-000000000000",
        }
        return await self._http.request(method, f"{self._graph_url}/v1.0/me{path}", headers=headers, **options)


def html_of(text: str) -> str:
    """What a person typed, as HTML: a paragraph for each block of lines."""
    blocks = (escape(block, quote=False).replace("\n", "<br>") for block in re.split(r"\n\s*\n", text.strip()))
    return "".join(f"<p>{block}</p>" for block in blocks)


def _above_history(above: str, content: str) -> str:
    """The body of an answer that Graph prepared, with what the person typed at its top."""
    opening = _OPENING_BODY.search(content)
    at = opening.end() if opening else 0
    return f"{content[:at]}{above}{content[at:]}"


def _recipients(addresses: Sequence[str]) -> list[Json]:
    return [{"emailAddress": {"address": address}} for address in addresses]


def _good(answer: httpx.Response) -> httpx.Response:
    """The answer, unless Graph or a control refused: then its words as a Refusal."""
    if answer.is_success:
        return answer
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = f"{answer.request.url.path} answered {answer.status_code}."
    raise Refusal(answer.status_code, error["message"] if isinstance(error, dict) else str(error))
