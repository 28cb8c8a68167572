"""One user's mailbox through Graph (https://learn.microsoft.com/graph/api/resources/mail-api-overview). Ids are immutable ids."""

import base64
import contextlib
import json
from datetime import datetime
from urllib.parse import quote

from sync.adapters import graph_shapes as shapes
from sync.adapters.graph_client import INBOX, GraphClient
from sync.domain.connection import Connection, Mailbox
from sync.domain.errors import Gone, OutsideError, Unclear
from sync.domain.mail import MailboxMessage, MailContent
from sync.domain.outgoing import Draft, OutgoingFile

#: A file is added in one request below this, else through an upload session. Graph's limit is 3 MB for a request of 4 MB in
#: base64 (https://learn.microsoft.com/graph/outlook-large-attachments); below it there is room for names and the JSON around.
DIRECT_UPLOAD_BYTES = 2_500_000
UPLOAD_PIECE_BYTES = 3 * 1024 * 1024
#: What JSON around a file's base64 may take.
JSON_ROOM_BYTES = 64 * 1024


class GraphMail:
    """Keeps `flows.ports.Mail`."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def owner(self, access_token: str) -> Mailbox:
        """
        Whose mailbox a token opens (https://learn.microsoft.com/graph/api/user-get); an account without a usable one is refused.

        `/me` answers for those as well, so the inbox is asked for, too.
        """
        select = {"$select": "id,displayName,mail,userPrincipalName,proxyAddresses"}
        me = (await self._graph.request_with(access_token, "GET", "/me", select)).json()
        await self._graph.request_with(access_token, "GET", INBOX, {"$select": "id"})
        email = me.get("mail") or me.get("userPrincipalName") or ""
        smtp = [p[5:] for p in me.get("proxyAddresses") or [] if p[:5].casefold() == "smtp:"]
        names = dict.fromkeys([*smtp, me.get("userPrincipalName") or ""])
        return Mailbox(
            tenant_id="",
            object_id=me["id"],
            email=email,
            display_name=me.get("displayName") or "",
            aliases=tuple(n for n in names if n and n.casefold() != email.casefold()),
        )

    async def keys(self, connection: Connection, graph_id: str) -> MailboxMessage:
        """Keys and addresses of a message, nothing else of it; raises Gone."""
        found = await self._graph.request(connection, "GET", _message(graph_id), params=shapes.KEYS_QUERY)
        return shapes.mailbox_message(found.json())

    async def received_since(
        self, connection: Connection, since: datetime, limit: int, skip: int = 0
    ) -> list[MailboxMessage]:
        """Keys and addresses of the messages received since then, of all folders, the oldest first, at most `limit`."""
        params = shapes.since_query(since, limit, skip)
        found = await self._graph.request(connection, "GET", "/me/messages", params=params)
        return [shapes.mailbox_message(m) for m in found.json()["value"]]

    async def by_internet_message_id(self, connection: Connection, internet_message_id: str) -> list[MailboxMessage]:
        """Keys and addresses of the messages with this Message-ID, of all folders; a mailbox can hold several copies."""
        params = shapes.message_id_query(internet_message_id)
        found = await self._graph.request(connection, "GET", "/me/messages", params=params)
        return [shapes.mailbox_message(m) for m in found.json()["value"]]

    async def content(self, connection: Connection, graph_id: str) -> MailContent:
        """Body and list of files of a message that is ours."""
        found = await self._graph.request(connection, "GET", _message(graph_id), params=shapes.CONTENT_QUERY)
        return shapes.mail_content(found.json())

    async def file(
        self, connection: Connection, graph_id: str, file_id: str, limit_bytes: int
    ) -> tuple[bytes, str | None] | None:
        """
        Content and content id of a file; None where it is larger than the limit (it is not read to the end then).

        The whole attachment is asked for, not `/$value`: `contentId` can't be selected from the base type for sure.
        """
        path = f"{_message(graph_id)}/attachments/{quote(file_id, safe='')}"
        most = limit_bytes * 4 // 3 + JSON_ROOM_BYTES
        text = bytearray()
        async with self._graph.stream(connection, "GET", path) as response:
            async for piece in response.aiter_bytes():
                text += piece
                if len(text) > most:
                    return None
        try:
            data = json.loads(text)
            content = base64.b64decode(data["contentBytes"], validate=True)
        except (ValueError, KeyError, TypeError) as error:
            raise Unclear("the file's answer could not be read") from error
        return content, data.get("contentId")

    async def mime(self, connection: Connection, graph_id: str, limit_bytes: int) -> bytes | None:
        """
        A message as it came over the wire; None where it is larger than the limit (it is not read to the end then).

        https://learn.microsoft.com/graph/outlook-get-mime-message.
        """
        content = bytearray()
        async with self._graph.stream(connection, "GET", f"{_message(graph_id)}/$value") as response:
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > limit_bytes:
                    return None
        return bytes(content)

    async def create_draft(self, connection: Connection, draft: Draft) -> MailboxMessage:
        """A new draft."""
        made = await self._graph.request(connection, "POST", "/me/messages", json=shapes.new_message(draft))
        return shapes.mailbox_message(made.json())

    async def create_answer(self, connection: Connection, graph_id: str, draft: Draft) -> MailboxMessage:
        """
        A draft that answers this message; raises Gone where the message is not there any more.

        Recipients, body and stamp are given in the same request, so that a draft is never seen half made
        (https://learn.microsoft.com/graph/api/message-createreply).
        """
        path = f"{_message(graph_id)}/createReply"
        made = await self._graph.request(connection, "POST", path, json={"message": shapes.new_message(draft)})
        return shapes.mailbox_message(made.json())

    async def is_unread(self, connection: Connection, graph_id: str) -> bool:
        """Whether the user has not read this message yet; raises Gone."""
        found = await self._graph.request(connection, "GET", _message(graph_id), params={"$select": "isRead"})
        return not found.json().get("isRead", True)

    async def mark_unread(self, connection: Connection, graph_id: str) -> None:
        """Let a message be unread again; raises Gone (https://learn.microsoft.com/graph/api/message-update)."""
        await self._graph.request(connection, "PATCH", _message(graph_id), json={"isRead": False})

    async def set_recipients(self, connection: Connection, draft_id: str, draft: Draft) -> None:
        """Let what is in the mailbox go to the recipients of `draft`, and to nobody else."""
        await self._graph.request(connection, "PATCH", _message(draft_id), json=shapes.recipients(draft))

    async def add_file(self, connection: Connection, draft_id: str, file: OutgoingFile) -> None:
        """
        Add a file to a draft, in one request or, if it is large, through an upload session.

        The file is on the draft once its last byte is there, and nothing of it before. A session that did not come to its end
        is cancelled, so that it can't later, when the file was added by another.
        """
        path = f"{_message(draft_id)}/attachments"
        if len(file.content) < DIRECT_UPLOAD_BYTES:
            await self._graph.request(connection, "POST", path, json=shapes.new_file(file))
            return
        opened = await self._graph.request(
            connection, "POST", f"{path}/createUploadSession", json=shapes.new_upload(file)
        )
        url, total = opened.json()["uploadUrl"], len(file.content)
        try:
            for start in range(0, total, UPLOAD_PIECE_BYTES):
                piece = file.content[start : start + UPLOAD_PIECE_BYTES]
                await self._graph.upload(connection, url, piece, start, total)
        except OutsideError:
            await self._graph.cancel_upload(connection, url)
            raise

    async def remove_files(self, connection: Connection, draft_id: str) -> None:
        """Take every file off a draft."""
        path = f"{_message(draft_id)}/attachments"
        found = await self._graph.request(connection, "GET", path, params={"$select": "id"})
        for file in found.json()["value"]:
            with contextlib.suppress(Gone):
                await self._graph.request(connection, "DELETE", f"{path}/{quote(file['id'], safe='')}")

    async def file_names(self, connection: Connection, draft_id: str) -> list[str]:
        """The names of the files on a draft."""
        path = f"{_message(draft_id)}/attachments"
        found = await self._graph.request(connection, "GET", path, params={"$select": "id,name"})
        return [str(a["name"]) for a in found.json()["value"]]

    async def send(self, connection: Connection, draft_id: str) -> None:
        """Send a draft; Unclear where it may or may not have gone (https://learn.microsoft.com/graph/api/message-send)."""
        await self._graph.request(connection, "POST", f"{_message(draft_id)}/send")

    async def find_stamped(self, connection: Connection, stamp: str) -> MailboxMessage | None:
        """The message that carries our stamp: a draft, or its copy in Sent Items, wherever it is by now."""
        found = await self._graph.request(connection, "GET", "/me/messages", params=shapes.stamped_query(stamp))
        messages = [shapes.mailbox_message(m) for m in found.json()["value"]]
        return min(messages, key=lambda m: m.is_draft, default=None)

    async def discard(self, connection: Connection, draft_id: str) -> None:
        """Delete a draft; raises Gone where it is not there any more (https://learn.microsoft.com/graph/api/message-delete)."""
        await self._graph.request(connection, "DELETE", _message(draft_id))


def _message(graph_id: str) -> str:
    return f"/me/messages/{quote(graph_id, safe='')}"
