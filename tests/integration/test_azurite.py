"""Azurite as a child process: Microsoft's emulator, real clients, real HTTP."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from tests.cloud import azurite as azurite_module
from tests.cloud.azurite import Azurite, AzuriteError

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 60


def alive(pid: int) -> bool:
    """Whether this process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_blob_queue_and_table_answer() -> None:
    """One connection string reaches all three services."""
    azurite = Azurite()
    await azurite.start()
    try:
        async with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
            queue = await queues.create_queue("mail-changes")
            await queue.send_message("wake up")
            assert [message.content async for message in queue.receive_messages()] == ["wake up"]
        async with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
            await blobs.create_container("bodies")
            await blobs.get_blob_client("bodies", "one").upload_blob(b"\x00body")
            downloaded = await blobs.get_blob_client("bodies", "one").download_blob()
            assert await downloaded.readall() == b"\x00body"
        async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
            table = await tables.create_table("journal")
            await table.create_entity({"PartitionKey": "acme", "RowKey": "1", "kind": "event"})
            assert (await table.get_entity("acme", "1"))["kind"] == "event"
        assert azurite.blob_url in azurite.connection_string
        assert azurite.table_url.endswith("/devstoreaccount1")
    finally:
        await azurite.stop()


async def test_a_folder_survives_a_restart_and_memory_does_not(tmp_path: Path) -> None:
    """With a folder the data is there after a restart; without one it is gone."""
    for azurite, survives in ((Azurite(tmp_path), True), (Azurite(), False)):
        await azurite.start()
        try:
            async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
                table = await tables.create_table("journal")
                await table.create_entity({"PartitionKey": "acme", "RowKey": "1"})
            await azurite.stop()
            await azurite.start()
            async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
                table = tables.get_table_client("journal")
                if survives:
                    assert await table.get_entity("acme", "1")
                else:
                    with pytest.raises(ResourceNotFoundError):
                        await table.get_entity("acme", "1")
        finally:
            await azurite.stop()


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc to see that the process is gone")
async def test_it_ends_when_its_parent_is_killed() -> None:
    """SIGKILL of whoever started Azurite leaves no Azurite behind."""
    program = (
        "import asyncio\n"
        "from tests.cloud.azurite import Azurite\n"
        "async def main():\n"
        "    azurite = Azurite()\n"
        "    await azurite.start()\n"
        "    print(azurite._process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), WAIT_SECONDS))
    assert alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(WAIT_SECONDS):
        while alive(child):  # noqa: ASYNC110 - another process's end sets no event here
            await asyncio.sleep(0.05)


async def test_missing_node_modules_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who has not set the checkout up is told the command that does."""
    monkeypatch.setattr(azurite_module, "AZURITE_PROGRAM", tmp_path / "absent.js")
    with pytest.raises(AzuriteError, match="make install"):
        await Azurite().start()


async def test_the_reason_is_told_when_it_does_not_start(tmp_path: Path) -> None:
    """A start that fails shows what Azurite itself said."""
    not_a_folder = tmp_path / "file"
    not_a_folder.write_text("")
    azurite = Azurite(not_a_folder)
    with pytest.raises(AzuriteError, match="It said"):
        await azurite.start()


async def test_addresses_before_start_are_an_error() -> None:
    """Nobody is given an address on which nothing listens."""
    with pytest.raises(AzuriteError, match="await start"):
        _ = Azurite().connection_string
