"""
Azure Blob Storage: bodies and files in the container `mail`, sealed token caches in `tokens`, under generated names.

No name holds anything a sender chose. The same content under the same id has the same name, so that work done again writes
nothing new.
"""

import contextlib
import hashlib
import json
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from sync.domain.body import Body
from sync.domain.errors import Conflict, NotFound


class Container:
    """One container, made on first use."""

    def __init__(self, service: BlobServiceClient, name: str) -> None:
        self._client: ContainerClient = service.get_container_client(name)

    async def put(self, name: str, content: bytes, *, version: str | None = None) -> str:
        """Write a blob; with `version`, only over that version. Returns the new version, raises Conflict."""
        condition: dict[str, Any] = (
            {} if version is None else {"etag": version, "match_condition": MatchConditions.IfNotModified}
        )
        try:
            return await self._upload(name, content, condition)
        except ResourceNotFoundError:
            if version is not None:
                raise Conflict from None
            with contextlib.suppress(ResourceExistsError):
                await self._client.create_container()
            return await self._upload(name, content, condition)
        except ResourceModifiedError as error:
            raise Conflict from error

    async def get(self, name: str) -> tuple[bytes, str] | None:
        """A blob with its version."""
        try:
            found = await self._client.download_blob(name)
            return await found.readall(), str(found.properties.etag)
        except ResourceNotFoundError:
            return None

    async def delete(self, name: str) -> None:
        """Delete, if it is there."""
        try:
            await self._client.delete_blob(name, delete_snapshots="include")
        except ResourceNotFoundError:
            return

    async def _upload(self, name: str, content: bytes, condition: dict[str, Any]) -> str:
        done = await self._client.get_blob_client(name).upload_blob(content, overwrite=True, **condition)
        return str(done["etag"])


class MailContentBlobs:
    """Keeps `flows.ports.Content`."""

    def __init__(self, container: Container) -> None:
        self._blobs = container

    async def put_body(self, account_id: str, message_id: str, body: Body) -> str:
        """Store a body; returns its name."""
        content = json.dumps({"html": body.html, "text": body.text}).encode()
        return await self._put(f"{account_id}/bodies/{message_id}", content)

    async def body(self, name: str) -> Body:
        """A stored body."""
        stored = json.loads(await self.file(name))
        return Body(stored["html"], stored["text"])

    async def put_file(self, account_id: str, attachment_id: str, content: bytes) -> str:
        """Store a file; returns its name."""
        return await self._put(f"{account_id}/files/{attachment_id}", content)

    async def file(self, name: str) -> bytes:
        """A stored file."""
        found = await self._blobs.get(name)
        if found is None:
            raise NotFound("The content was removed.")
        return found[0]

    async def _put(self, stem: str, content: bytes) -> str:
        name = f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}"
        await self._blobs.put(name, content)
        return name
