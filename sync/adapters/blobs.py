"""
Azure Blob Storage: bodies and files in the container `mail`, sealed token caches in `tokens`, under generated names.

No name holds anything a sender chose. The same content under the same id has the same name, so that work done again writes
nothing new.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import StorageErrorCode
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient, ContainerClient

from sync.adapters.rows import plain, typed
from sync.domain.batch import Letter
from sync.domain.body import Body
from sync.domain.errors import Conflict, NotFound

DELETES_AT_ONCE = 16
_LEASE_FORBIDS = (
    StorageErrorCode.LEASE_ID_MISSING,
    StorageErrorCode.LEASE_ID_MISMATCH_WITH_BLOB_OPERATION,
    StorageErrorCode.LEASE_LOST,
    StorageErrorCode.LEASE_NOT_PRESENT_WITH_BLOB_OPERATION,
)


class Leased(Conflict):
    """Somebody else holds the lease of this blob, or ours has ended."""


class Container:
    """
    One container, made on first use.

    Leases: https://learn.microsoft.com/rest/api/storageservices/lease-blob. Azurite takes a write with a lease that has ended
    where nobody has taken another, so name the version too wherever that matters.
    """

    def __init__(self, service: BlobServiceClient, name: str) -> None:
        self._client: ContainerClient = service.get_container_client(name)

    async def put(self, name: str, content: bytes, *, version: str | None = None, lease: str | None = None) -> str:
        """
        Write a blob; with `version`, only over that version; with `lease`, as the one who holds it.

        Returns the new version; raises Conflict, and Leased where only who holds the lease may write.
        """
        condition: dict[str, Any] = {} if version is None else _only(version)
        if lease is not None:
            condition["lease"] = lease
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

    async def put_despite_lease(self, name: str, content: bytes, *, version: str | None = None) -> str:
        """Write as `put`, and take the lease away from whoever holds it."""
        while True:
            try:
                return await self.put(name, content, version=version)
            except Leased:
                await self.break_lease(name)

    async def get(self, name: str) -> tuple[bytes, str] | None:
        """A blob with its version."""
        try:
            found = await self._client.download_blob(name)
            return await found.readall(), str(found.properties.etag)
        except ResourceNotFoundError:
            return None

    async def delete(self, name: str) -> None:
        """Delete, if it is there, whoever holds its lease."""
        while True:
            try:
                with _lease_respected():
                    await self._client.delete_blob(name, delete_snapshots="include")
            except ResourceNotFoundError:
                return
            except Leased:
                await self.break_lease(name)
            else:
                return

    async def delete_all(self, prefix: str) -> int:
        """Delete every blob whose name begins so; returns how many there were."""
        count = 0
        try:
            names = [name async for name in self._client.list_blob_names(name_starts_with=prefix)]
        except ResourceNotFoundError:  # nothing was ever stored
            return 0
        for some in itertools.batched(names, DELETES_AT_ONCE, strict=False):
            await asyncio.gather(*(self.delete(name) for name in some))
            count += len(some)
        return count

    async def lease(self, name: str, *, version: str, seconds: int) -> str | None:
        """
        Let nobody else write to this blob for 15 to 60 s, or until `release`. It can still be read.

        None where somebody else has the lease, or the blob is not in this version any more.
        """
        lease = self._lease(name)
        try:
            await lease.acquire(lease_duration=seconds, **_only(version))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None
        return lease.id

    async def release(self, name: str, lease: str) -> None:
        """End a lease early. Never fails: one that can't be ended now ends by itself."""
        with contextlib.suppress(AzureError):
            await self._lease(name, lease).release()

    async def break_lease(self, name: str) -> None:
        """End a lease whoever holds it; no error where nobody does."""
        with contextlib.suppress(ResourceExistsError, ResourceNotFoundError):
            await self._lease(name).break_lease(lease_break_period=0)

    def _lease(self, name: str, lease: str | None = None) -> BlobLeaseClient:
        return BlobLeaseClient(self._client.get_blob_client(name), lease_id=lease)

    async def _upload(self, name: str, content: bytes, condition: dict[str, Any]) -> str:
        with _lease_respected():
            done = await self._client.get_blob_client(name).upload_blob(content, overwrite=True, **condition)
        return str(done["etag"])


def _only(version: str) -> dict[str, Any]:
    return {"etag": version, "match_condition": MatchConditions.IfNotModified}


@contextlib.contextmanager
def _lease_respected() -> Iterator[None]:
    """Storage's four words for a write that a lease forbids become Leased; azure-core has no class for them."""
    try:
        yield
    except HttpResponseError as error:
        if getattr(error, "error_code", None) in _LEASE_FORBIDS:
            raise Leased from error
        raise


class MailContentBlobs:
    """Keeps `flows.ports.Content`."""

    def __init__(self, container: Container) -> None:
        self._blobs = container

    async def put_body(self, account_id: str, connection_id: str, message_id: str, body: Body) -> str:
        """Store a body; returns its name."""
        content = json.dumps({"html": body.html, "text": body.text}).encode()
        return await self._put(f"{_folder(account_id, connection_id)}bodies/{message_id}", content)

    async def body(self, name: str) -> Body:
        """A stored body."""
        stored = json.loads(await self.file(name))
        return Body(stored["html"], stored["text"])

    async def put_letters(self, account_id: str, connection_id: str, batch_id: str, letters: Sequence[Letter]) -> str:
        """Store the letters of a batch; returns their name."""
        content = json.dumps([plain(letter) for letter in letters], separators=(",", ":")).encode()
        return await self._put(f"{_folder(account_id, connection_id)}letters/{batch_id}", content)

    async def letters(self, name: str) -> tuple[Letter, ...]:
        """Stored letters."""
        return tuple(typed(Letter, letter) for letter in json.loads(await self.file(name)))

    async def put_file(self, account_id: str, connection_id: str, attachment_id: str, content: bytes) -> str:
        """Store a file; returns its name."""
        return await self._put(f"{_folder(account_id, connection_id)}files/{attachment_id}", content)

    async def file(self, name: str) -> bytes:
        """A stored file."""
        found = await self._blobs.get(name)
        if found is None:
            raise NotFound("The content was removed.")
        return found[0]

    async def remove(self, name: str) -> None:
        """Remove one body, file, or letters; no error where it is gone, or the name is empty."""
        if name:
            await self._blobs.delete(name)

    async def remove_all(self, account_id: str, connection_id: str) -> int:
        """Remove all that was kept for a connection, also what no message came to lead to; returns how much that was."""
        return await self._blobs.delete_all(_folder(account_id, connection_id))

    async def _put(self, stem: str, content: bytes) -> str:
        name = f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}"
        await self._blobs.put(name, content)
        return name


def _folder(account_id: str, connection_id: str) -> str:
    return f"{account_id}/{connection_id}/"
