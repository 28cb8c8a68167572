"""The promises of a container of blobs: versions, and leases that keep others from writing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sync.adapters.blobs import Container, Leased
from sync.domain.errors import Conflict
from tests.cloud.azurite import Azurite
from tests.contracts.stores import AzureStores

SECONDS = 60


@pytest.fixture
async def container(azurite: Azurite) -> AsyncIterator[Container]:
    stores = AzureStores(azurite.connection_string)
    yield stores.container("blobs")
    await stores.close()


async def leased(container: Container, content: bytes = b"first") -> tuple[str, str]:
    """A blob `a` with this content that somebody holds: its version and the lease."""
    version = await container.put("a", content)
    lease = await container.lease("a", version=version, seconds=SECONDS)
    assert lease is not None
    return version, lease


async def content(container: Container) -> bytes | None:
    stored = await container.get("a")
    return stored[0] if stored is not None else None


async def test_a_blob_is_written_over_the_version_that_was_read_or_not_at_all(container: Container) -> None:
    """Without a version, over anything; a blob that is gone has no version to write over, nor has a container."""
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version='"0x1"')
    first = await container.put("a", b"first")
    second = await container.put("a", b"second", version=first)
    assert second != first
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version=first)
    assert await container.get("a") == (b"second", second)
    await container.delete("a")
    await container.delete("a")
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version=second)
    assert await container.get("a") is None
    await container.put("a", b"third")
    assert await content(container) == b"third"


async def test_only_who_holds_the_lease_writes_and_everybody_reads(container: Container) -> None:
    """Others are told so, with the right version too; the lease does not bring back an older version."""
    version, lease = await leased(container)
    for condition in ({}, {"version": version}, {"lease": "00000000-0000-0000-0000-000000000000"}):
        with pytest.raises(Leased):
            await container.put("a", b"lost", **condition)
    assert await content(container) == b"first"
    second = await container.put("a", b"second", version=version, lease=lease)
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version=version, lease=lease)
    assert await container.get("a") == (b"second", second)


async def test_one_at_a_time_gets_the_lease(container: Container) -> None:
    """However many ask; the next one once it is released."""
    version = await container.put("a", b"first")
    asked = [container.lease("a", version=version, seconds=SECONDS) for _ in range(10)]
    got = [lease for lease in await asyncio.gather(*asked) if lease is not None]
    assert len(got) == 1
    await container.release("a", got[0])
    assert await container.lease("a", version=version, seconds=SECONDS) is not None


async def test_a_lease_is_of_the_version_that_was_read(container: Container) -> None:
    """None where it was changed since, or is gone, or never was."""
    first = await container.put("a", b"first")
    assert await container.lease("no such blob", version=first, seconds=SECONDS) is None
    second = await container.put("a", b"second")
    assert await container.lease("a", version=first, seconds=SECONDS) is None
    await container.delete("a")
    assert await container.lease("a", version=second, seconds=SECONDS) is None


async def test_who_must_write_takes_the_lease_away(container: Container) -> None:
    """Its holder can't write any more, and is told; where nobody holds one, or nothing is there, it is a write like any."""
    version, lease = await leased(container)
    await container.put_despite_lease("a", b"second")
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version=version, lease=lease)
    assert await content(container) == b"second"
    await container.put_despite_lease("a", b"third")
    await container.delete("a")
    await container.put_despite_lease("a", b"fourth")
    assert await content(container) == b"fourth"


async def test_who_must_write_over_a_version_takes_the_lease_away_from_that_version_only(container: Container) -> None:
    """What was changed meanwhile stays."""
    version, _ = await leased(container)
    changed = await container.put_despite_lease("a", b"second", version=version)
    assert await container.lease("a", version=changed, seconds=SECONDS) is not None
    with pytest.raises(Conflict):
        await container.put_despite_lease("a", b"lost", version=version)
    assert await content(container) == b"second"


async def test_a_held_blob_is_deleted_all_the_same(container: Container) -> None:
    """And its holder does not write it back."""
    version, lease = await leased(container)
    await container.delete("a")
    with pytest.raises(Conflict):
        await container.put("a", b"lost", version=version, lease=lease)
    with pytest.raises(Conflict):
        await container.put_despite_lease("a", b"lost", version=version)
    assert await content(container) is None


async def test_a_release_never_fails(container: Container) -> None:
    """Twice, after somebody took the lease away, after the blob is gone."""
    version, lease = await leased(container)
    for _ in range(2):
        await container.release("a", lease)
    lease = await container.lease("a", version=version, seconds=SECONDS) or ""
    await container.put_despite_lease("a", b"second")
    await container.release("a", lease)
    await container.delete("a")
    await container.release("a", lease)


async def test_a_lease_is_broken_whoever_holds_it_or_nobody(container: Container) -> None:
    """Others can write then; where there is no lease, or nothing at all, it is no error."""
    await container.break_lease("a")
    version, _ = await leased(container)
    for _ in range(2):
        await container.break_lease("a")
    second = await container.put("a", b"second", version=version)
    assert await container.get("a") == (b"second", second)
    await container.break_lease("a")
    await container.delete("a")
    await container.break_lease("a")
