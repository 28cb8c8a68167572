"""A world in which bulk sends happen: who gets them, and what is asked at the end."""

from collections import Counter
from datetime import datetime, timedelta

from sync.domain.connection import Connection
from sync.domain.message import Contact
from sync.domain.outgoing import Outgoing
from tests.unit.flows.world import ACCOUNT, World


def crowd(count: int) -> tuple[Contact, ...]:
    """So many contacts of the CRM."""
    return tuple(Contact(f"c{i}@world.example", f"Contact {i}", f"c-{i}") for i in range(count))


async def bulk(
    world: World,
    connection: Connection,
    to: tuple[Contact, ...],
    *,
    key: str = "bulk-1",
    from_address: str | None = None,
    send_at: datetime | None = None,
    unusable: dict[int, str] | None = None,
) -> str:
    """A bulk send through the mailbox (or from another address); returns the batch's id."""
    asked = Outgoing(
        "bulk",
        connection.user_id,
        to,
        "News",
        "<p>Hi all</p>",
        from_address=connection.mailbox.email if from_address is None else from_address,
        send_at=send_at,
        unusable=unusable or {},
    )
    answer = await world.accept.accept(ACCOUNT, key, asked, f"hash of {key}")
    return str(answer["batch_id"])


async def counts(world: World, batch_id: str) -> dict[str, int]:
    """How the emails of a batch stand, without the statuses that none has."""
    _, found = await world.batches.batch(ACCOUNT, batch_id)
    return {status: count for status, count in found.items() if count}


def left(world: World) -> Counter[str]:
    """How many emails each recipient got."""
    return Counter(address.address for item in world.mail.outgoing for address in item.seen.to)


def busiest_minute(times: list[datetime]) -> int:
    """The most that happened within 60 seconds."""
    return max(sum(at <= other < at + timedelta(minutes=1) for other in times) for at in times)
