"""A world whose account has a provider, and what is asked of it at the end."""

from collections import Counter
from typing import Any

from sync.domain.mail import Address
from sync.domain.message import Contact, Message
from sync.domain.outgoing import Outgoing
from sync.domain.provider import Provider
from tests.unit.flows.conftest import new_world
from tests.unit.flows.world import ACCOUNT, ADA, World

PROVIDER = Provider(
    ACCOUNT, "smtp.example", 587, "starttls", Address("crm@acme.example", "Acme"), ("acme.example",), "user", "secret"
)


async def world_with_provider() -> World:
    """Nobody is connected; what is sent goes through the provider."""
    world = new_world()
    await world.providers.save(PROVIDER)
    return world


async def accepted(world: World, *, key: str = "key-1", to: tuple[Contact, ...] = (ADA,), **changes: Any) -> Message:
    """An email through the provider, as it was accepted."""
    fields: dict[str, Any] = {"kind": "individual", "user_id": "u1", "subject": "Offer", "html": "<p>Hi</p>"} | changes
    answer = await world.accept.accept(ACCOUNT, key, Outgoing(to=to, **fields), f"hash of {key}")
    return await world.message(answer["messages"][0]["message_id"])  # type: ignore[index]


def received(world: World) -> Counter[str]:
    """How many emails the server took for each recipient."""
    return Counter(recipient for one in world.smtp.outgoing for recipient in one.recipients)
