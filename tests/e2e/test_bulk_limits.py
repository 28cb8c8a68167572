"""
Many emails through one mailbox, within all that Graph allows at a time and in ten minutes, and within little memory.

The pace is turned up here, so that they take as long as this machine does. That the pace is kept to is tested with a thousand on
the clock of tests/unit/flows/test_bulk.py, and for the first minute in test_bulk.py. Run with `pytest -s` to see the numbers.
"""

import os
import time
from collections import Counter

import httpx

from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, unique
from tests.e2e.batches import accepted, bulk, calls_refused, crowd, finished
from tests.e2e.conversation import addresses, at_rest, calls, left

#: `BULK_COUNT=1000` plays the whole: that many take about five minutes on two cores, all that imitates the world included.
COUNT = int(os.environ.get("BULK_COUNT", "250"))
MAX_MEMORY_BYTES = 300 * 1024 * 1024


async def test_all_are_sent_within_graphs_limits(http: httpx.AsyncClient) -> None:
    """Each once, each told once, no call refused with 429, and the worker below 300 MB."""
    async with LocalCloud({"OUTLOOK_MESSAGES_PER_MINUTE": "1200"}) as cloud, cloud.api(unique("acme")) as api:
        account = Account(cloud, api, http)
        user_id, person = unique("dana"), account.new_person()
        connection = await account.connect(user_id, person.email)
        dana = Connected(cloud, api, http, user_id, person, connection, Stage(cloud, http, person.email))
        body = bulk(user_id, crowd(COUNT), **{"from": person.email})

        began = time.monotonic()
        answer = await accepted(dana, body)
        accepted_s = time.monotonic() - began
        batch = await finished(dana, answer["batch_id"], seconds=500)
        sent_s = time.monotonic() - began
        await at_rest(dana)

        memory = cloud.functions.worker_peak_bytes()
        made = await calls(dana)
        print(  # noqa: T201
            f"\n{COUNT} emails accepted in {accepted_s:.2f} s, sent in {sent_s:.0f} s, {len(made)} calls to Graph,"
            f" {memory / 2**20:.0f} MiB at most in the worker"
        )
        assert batch["counts"]["sent"] == COUNT
        assert Counter(addresses(mail["to"])[0] for mail in left(dana)) == {p["address"]: 1 for p in crowd(COUNT)}
        assert calls_refused(dana) == []
        assert memory < MAX_MEMORY_BYTES

        async def told_all() -> bool:
            """A delivery that waits for its account's turn is hidden for a moment, and the queues seem at rest."""
            told = [m["message_id"] for m in (e["data"].get("message") for e in dana.events()) if m]
            assert len(told) == len(set(told))
            return len(told) == COUNT

        await eventually(told_all, "the CRM to hear of all", timeout=120)
