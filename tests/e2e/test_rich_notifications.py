"""
`NOTIFICATION_MODE=rich`: Graph sends the keys of each message along, encrypted, and of mail outside every thread the mailbox is
asked nothing at all. Everything else is as in basic mode; certificates are changed, and the mode switched back, without a gap.

The real app, on a cloud of its own whose Graph encrypts and whose Entra ID signs for real.
"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from tests.cloud.certificates import notification_certificate
from tests.cloud.local import LocalCloud
from tests.cloud.request_log import asks_for_content
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    STRANGER,
    Arrival,
    answers,
    arrives,
    at_rest,
    calls_about,
    in_mailbox,
    newly_connected,
    switched,
    synced,
    told,
)
from tests.e2e.life import graph_says, one_subscription, restarted, sends_and_receives

FIRST, SECOND = notification_certificate(), notification_certificate()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rich_cloud() -> AsyncIterator[LocalCloud]:
    """A cloud whose app asks for rich notifications."""
    async with LocalCloud({"NOTIFICATION_MODE": "rich", "NOTIFICATION_CERTIFICATES": FIRST}) as cloud:
        yield cloud


@pytest_asyncio.fixture(loop_scope="session")
async def dana(rich_cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """A user on it."""
    async with rich_cloud.api(unique("acme")) as api:
        connected = await newly_connected(Account(rich_cloud, api, http))
        await connected.stage.quiet()
        yield connected


async def asked(by: Connected, arrival: Arrival) -> list[str]:
    """What the app asked the mailbox about this message, in order: its `keys` or its `content`."""
    return ["content" if asks_for_content(call) else "keys" for call in await calls_about(by, arrival)]


def certificate_of(subscription: Json) -> Any:
    """What Graph encrypts for; None: it is a basic one."""
    return subscription["encryptionCertificateId"]


async def test_of_mail_outside_every_thread_nothing_is_asked(dana: Connected) -> None:
    """Known and unknown senders, what the user writes, a draft: 0 calls about each. In a thread the content alone is read."""
    offer = await dana.sent()
    await at_rest(dana)
    strange = [await arrives(dana, sender, "Dinner?") for sender in (ADA, STRANGER)]
    own = await dana.stage.outlook.write(STRANGER, "Lunch?", "At noon?")
    reply = await answers(dana, offer)
    copy = await dana.stage.outlook.find(offer["internet_message_id"], "sentitems")
    answer = await dana.stage.outlook.reply_all(copy["id"], "One thing more.")
    await synced(dana, reply)
    await synced(dana, answer)
    await at_rest(dana)

    written = in_mailbox(dana, own["internetMessageId"])
    for arrival in (*strange, Arrival(written.internet_message_id, written.immutable_id)):
        assert await asked(dana, arrival) == []
    assert await asked(dana, reply) == ["content"]
    assert Counter(kind for kind, _ in told(dana)) == {"message.sent": 1, "message.synced": 2}


async def test_where_headers_are_left_out_the_mailbox_is_asked(dana: Connected) -> None:
    """(?) Then all goes as in basic mode: one question about each, and what belongs to the thread is told."""
    offer = await dana.sent()
    await at_rest(dana)
    async with switched(dana, rich_headers=False):
        strange = await arrives(dana, STRANGER, "Dinner?")
        reply = await answers(dana, offer)
        await synced(dana, reply)
        await at_rest(dana)
    assert await asked(dana, strange) == ["keys"]
    assert await asked(dana, reply) == ["keys", "content"]


async def test_a_certificate_is_changed_and_the_mode_switched_back_without_a_gap(
    dana: Connected, rich_cloud: LocalCloud
) -> None:
    """At each step what Graph tells by the subscription of before is understood; the next renewal makes it anew."""
    thread = await dana.sent()
    before = await one_subscription(dana)
    seen = [certificate_of(before)]
    steps: list[dict[str, str]] = [
        {"NOTIFICATION_CERTIFICATES": SECOND + FIRST},
        {"NOTIFICATION_CERTIFICATES": SECOND},
        {"NOTIFICATION_MODE": "basic"},
        {"NOTIFICATION_MODE": "rich", "NOTIFICATION_CERTIFICATES": FIRST},
    ]
    for step in steps:
        await restarted(rich_cloud, **step)
        arrival = await answers(dana, thread, text="Told as before")
        await synced(dana, arrival)
        opened = await asked(dana, arrival) == ["content"]
        # Only the last step takes a certificate away before the subscription that needs it; and that one is a basic one.
        assert opened is (step is not steps[-1]), step
        await graph_says(dana, "reauthorizationRequired")
        await synced(dana, await answers(dana, thread, text="Told anew"))
        seen.append(certificate_of(await one_subscription(dana)))
    assert seen[0] is not None
    assert seen[3] is None
    assert seen == [seen[0], seen[1], seen[1], None, seen[0]]
    assert seen[1] != seen[0]
    await sends_and_receives(dana)


async def test_a_certificate_that_can_not_be_read_is_told_to_the_operator(
    dana: Connected, rich_cloud: LocalCloud
) -> None:
    """The app starts, mail goes on syncing by asking the mailbox, and the status says what is wrong and what to do."""
    thread, good = await dana.sent(), rich_cloud.app_settings["NOTIFICATION_CERTIFICATES"]
    await restarted(rich_cloud, NOTIFICATION_CERTIFICATES=good.replace("MII", "AAA"))
    try:
        await synced(dana, await answers(dana, thread))
        found = {check["name"]: check for check in (await dana.api.status(checks=True)).json()["checks"]}
        check = found["notification_certificate"]
        assert (check["ok"], "NOTIFICATION_CERTIFICATES" in check["detail"]) == (False, True)
        assert check["what_to_do"]
    finally:
        await restarted(rich_cloud, NOTIFICATION_CERTIFICATES=good)
