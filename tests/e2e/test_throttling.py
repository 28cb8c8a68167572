"""
A mailbox that asks for patience: work on it is put off by a delay, never failed, and nothing is asked inside a Retry-After.

Several users have connected one mailbox, whose limits are Graph's own (4 requests at a time for the app, over all its processes).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import httpx

from tests.cloud.functions import FunctionsHost
from tests.cloud.local import CHECKOUT, LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import ADA, answers, at_rest, calls, fault, newly_connected, synced, told

#: Of each call, and of the calls on their way while a 429 comes back, on a machine with much to do.
SLOW_S = 0.1
ON_THE_WAY = timedelta(seconds=0.5)
RETRY_AFTER_S = 6
#: Of each user in a burst. In most bursts some calls are refused.
SENDS, ANSWERS, MAX_BURSTS = 2, 5, 6
#: What is refused waits for half a minute at most, each time.
ALL_TOLD_WITHIN_S = 240
FUNCTIONS_OF_MAILBOXES = ("queue_mailbox_watch", "queue_mailbox_catch_up", "queue_mail_send", "queue_mail_change")


@contextlib.asynccontextmanager
async def sharing(cloud: LocalCloud, http: httpx.AsyncClient, count: int) -> AsyncIterator[list[Connected]]:
    """So many users of one mailbox, each of an account of their own."""
    async with contextlib.AsyncExitStack() as apis:
        first = await newly_connected(Account(cloud, await apis.enter_async_context(cloud.api(unique("acme"))), http))
        users = [first]
        for _ in range(count - 1):
            api = await apis.enter_async_context(cloud.api(unique("acme")))
            connection = await Account(cloud, api, http).connect(first.user_id, first.email)
            stage = Stage(cloud, http, first.email)
            users.append(replace(first, api=api, connection=connection, stage=stage))
        yield users


async def poisoned(of: Connected) -> int:
    """How many messages are in poison queues, of the whole cloud."""
    queues = (await of.api.status()).json()["queues"]
    return sum(int(queue["poison"]) for queue in queues.values())


def answered_at(call: Json) -> datetime:
    """When Graph had answered a call."""
    return datetime.fromisoformat(call["at"]) + timedelta(seconds=call["duration_s"])


async def test_nothing_is_asked_inside_a_retry_after(http: httpx.AsyncClient) -> None:
    """
    In the middle of a burst Graph says when to come back: until then it hears nothing, and then all is done.

    On a cloud of its own, so that no function that fails there is another's.
    """
    async with LocalCloud() as cloud, sharing(cloud, http, 1) as [connected]:
        offer = await connected.sent()
        await at_rest(connected)
        before = len(await calls(connected))
        for _ in range(2):
            await fault(connected, "GET */me/messages/*", status=429, retry_after=RETRY_AFTER_S)
            arrived = await asyncio.gather(*(answers(connected, offer) for _ in range(10)))
            heard = [await synced(connected, arrival) for arrival in arrived]
            assert len({message["message_id"] for message in heard}) == len(arrived)
        await at_rest(connected)

        made = (await calls(connected))[before:]
        throttled = [call for call in made if call["status"] == 429]
        assert len(throttled) == 2
        for refusal in throttled:
            begins, ends = answered_at(refusal) + ON_THE_WAY, answered_at(refusal) + timedelta(seconds=RETRY_AFTER_S)
            inside = [call for call in made if begins < datetime.fromisoformat(call["at"]) < ends]
            assert inside == []
        assert sum(cloud.functions.failures.values()) == 0
        assert len(told(connected)) == len(set(told(connected))) == 21


async def test_two_processes_at_one_mailbox(http: httpx.AsyncClient) -> None:
    """
    Together they ask for more than Graph allows, and are refused; nothing fails, nothing is lost or told twice.

    Each call takes a while, so that the two meet at the mailbox; sending, receiving and catching up all go on. They meet by
    chance: where nobody was refused, there is another burst.
    """
    async with LocalCloud() as cloud, sharing(cloud, http, 2) as users:
        other = FunctionsHost(CHECKOUT, cloud.app_settings, function_key=cloud.function_key)
        await other.start()
        try:
            offers = [await user.sent() for user in users]
            await fault(users[0], "* /v1.0/me*", delay_s=SLOW_S, times=100_000)
            for bursts in range(1, MAX_BURSTS + 1):
                mails = [(user, user.mail(subject=f"Offer {bursts}.{n}")) for user in users for n in range(SENDS)]
                accepted, _ = await asyncio.gather(
                    asyncio.gather(*(user.api.send(mail, unique("key")) for user, mail in mails)),
                    asyncio.gather(
                        *(answers(u, o, ADA) for u, o in zip(users, offers, strict=True) for _ in range(ANSWERS))
                    ),
                )
                assert {answer.status_code for answer in accepted} == {202}
                each = 1 + bursts * (SENDS + ANSWERS)

                async def all_told(each: int = each) -> bool:
                    return all(len(told(user)) >= each for user in users)

                await eventually(all_told, "everything to be told", timeout=ALL_TOLD_WITHIN_S)
                refused = [call for call in await calls(users[0]) if call["status"] == 429]
                if refused:
                    break
            assert refused, "the mailbox was never too busy: this test proves nothing"
            assert min(host.invocations["queue_mail_change"] for host in (cloud.functions, other)) > 0
            assert await poisoned(users[0]) == 0
            for host in (cloud.functions, other):
                assert {name: host.failures[name] for name in FUNCTIONS_OF_MAILBOXES if host.failures[name]} == {}
            for user in users:
                assert len(told(user)) == len(set(told(user))) == each
        finally:
            await other.stop()
