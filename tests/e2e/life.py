"""
What happens to a connection from outside, and how it stands.

Some of it is in the place of time, which can't be made to pass for the app: a wake-up that is due later is brought forward, and
access tokens end before their hour.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sync.jobs import CatchUp, Job, MailChange, SendMail, WatchMailbox
from tests.cloud.entra import RecordedRequest
from tests.cloud.graph.traffic import Fault
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected, Json
from tests.e2e.conversation import ADA, answers, synced
from tests.e2e.storage import Storage

#: Which function the messages of a queue start.
FUNCTIONS: dict[type[Job], str] = {
    WatchMailbox: "queue_mailbox_watch",
    CatchUp: "queue_mailbox_catch_up",
    MailChange: "queue_mail_change",
    SendMail: "queue_mail_send",
}
#: What takes no longer than this was not kept waiting, even on a machine that is busy with other tests.
AT_ONCE_S = 3.0
#: How the worker writes a line of its log: time, level, logger, words.
LINE = re.compile(r"^\S+ \S+ (?P<level>[A-Z]+) (?P<logger>[\w.]+): (?P<words>.*)$")


async def run_now(of: Connected, job: Job) -> None:
    """Start what this wake-up stands for, as the queue will once its time has come, and return once all is at rest."""
    functions = of.cloud.functions
    answer = await of.http.post(
        f"{of.cloud.functions_url}/admin/functions/{FUNCTIONS[type(job)]}",
        json={"input": job.to_json()},
        headers={"x-functions-key": functions.master_key},
    )
    assert answer.status_code == 202, answer.text
    await functions.idle()


async def needs_new_token(of: Connected) -> None:
    """End the access tokens of the person's apps, so that the next call to Graph needs another one."""
    of.cloud.directory.revoke_tokens(of.person.oid)


def token_calls(of: Connected, after: int) -> list[RecordedRequest]:
    """What was asked of the token endpoint for this person after so many requests to Entra ID: others share the cloud."""
    requests = of.cloud.entra.requests[after:]
    return [call for call in requests if call.is_token_call and call.oid == of.person.oid]


async def trouble(of: Connected, kind: str) -> str | None:
    """
    Get the person into this trouble (tests/cloud/entra/troubles.py), and let it be noticed with the next call to Graph.

    Returns the `claims` that a sign-in has to bring then, None where it need not.
    """
    begun = await of.stage.lab("POST", f"{of.cloud.entra.url}/_lab/trouble", {"email": of.email, "kind": kind})
    await needs_new_token(of)
    wanted: str | None = begun["claims"]
    return wanted


async def licence(of: Connected, state: str) -> None:
    """Give or take away the mailbox: `active`, `inactive`, `none`."""
    await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/mailbox", {"email": of.email, "state": state})


async def restarted(cloud: LocalCloud, **settings: str) -> None:
    """Start the app with these settings changed."""
    await cloud.functions.stop()
    cloud.app_settings.update(settings)
    await cloud.functions.start()


async def one_subscription(of: Connected) -> Json:
    """What Graph tells of the mailbox with, having seen that it is one."""
    [subscription] = await of.subscriptions(of.email)
    return subscription


async def graph_says(of: Connected, event: str) -> None:
    """Graph sends this lifecycle notification for the mailbox's one subscription; returns once all is at rest."""
    [subscription] = await of.subscriptions(of.email)
    said = {"subscription_id": subscription["id"], "event": event}
    await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/lifecycle", said)
    await of.stage.quiet()


@contextlib.asynccontextmanager
async def held(of: Account, email: str, match: str, *, applied: bool = False) -> AsyncIterator[None]:
    """
    The next call to Graph for this mailbox that matches gets its answer only afterwards, however long that takes.

    `applied`: it has had its effect before; else it has it then.
    """
    over = asyncio.Event()
    of.cloud.graph.traffic.plan(Fault(match, mailbox=email, applied=applied, until=over))
    try:
        yield
    finally:
        over.set()


async def in_flight(by: Connected, match: str) -> None:
    """Return once Graph is busy with a call for this mailbox that matches, a glob over `METHOD path`."""

    async def look() -> bool:
        return any(
            fnmatchcase(f"{call['method']} {call['path']}", match)
            and call["status"] is None
            and call["mailbox"] == by.email
            for call in by.cloud.graph.traffic.requests
        )

    await eventually(look, f"a call {match}")


async def shown(of: Connected) -> Json:
    """The connection as the CRM reads it."""
    return dict((await of.api.connection(of.user_id)).json())


@dataclass(frozen=True)
class Standing:
    """A connection as the CRM reads it, without what became of the last sign-in; what Graph tells of; what is stored."""

    connection: Json
    subscriptions: list[Json]
    tokens: bytes | None


async def standing(of: Connected, storage: Storage) -> Standing:
    """How the connection stands."""
    connection = await shown(of)
    connection.pop("sign_in", None)
    return Standing(connection, await of.subscriptions(of.email), await storage.tokens_of(of.connection_id))


async def sends_and_receives(who: Connected) -> None:
    """See that a new email goes out through this mailbox, and that its answer comes in by this connection."""
    offer = await who.sent()
    assert offer["from"]["address"] == who.email
    answer = await synced(who, await answers(who, offer, sender=ADA))
    assert answer["connection_id"] == who.connection_id
    await who.stage.quiet()


async def promised(storage: Storage, job: Job) -> bool:
    """Whether the app has written down that this is still to be done."""
    return await storage.owes(job)


async def deletes(who: Connected, *, within_s: float = AT_ONCE_S) -> Json:
    """The answer to a delete, having seen that it came in time."""
    begun = time.monotonic()
    answer = await who.api.delete_connection(who.user_id)
    took_s = time.monotonic() - begun
    assert answer.status_code == 200, answer.text
    assert took_s < within_s
    return dict(answer.json())


async def nothing_is_left(who: Connected, storage: Storage) -> None:
    """See that the connection has ended here, at Graph and for the CRM, which was told once, and that nothing is to be done."""
    await who.heard("connection.disconnected")
    await who.cloud.functions.idle()
    assert (await shown(who))["state"] == "disconnected"
    assert await storage.tokens_of(who.connection_id) is None
    assert await who.subscriptions(who.email) == []
    assert not await promised(storage, WatchMailbox(who.connection_id))
    assert told_types(who).count("connection.disconnected") == 1


def told_types(by: Account, after: int = 0) -> list[str]:
    """The types of the events that the CRM received behind this sequence, each time it did, in the feed's order."""
    return [event["type"] for event in sorted(by.events(after), key=lambda event: event["sequence"])]


def last_told(by: Connected) -> int:
    """The sequence of the last event that the CRM received of the account."""
    return max((event["sequence"] for event in by.events()), default=0)


@dataclass
class Log:
    """What the app's worker has said since this was made."""

    cloud: LocalCloud
    _begin: int = field(init=False)

    def __post_init__(self) -> None:
        self._begin = self.cloud.functions.log_path.stat().st_size

    def lines(self, level: str) -> Iterator[str]:
        """The lines of this level, each as `<logger>: <words>`."""
        text = self.cloud.functions.log_path.read_bytes()[self._begin :].decode()
        for found in filter(None, map(LINE.match, text.splitlines())):
            if found["level"] == level:
                yield f"{found['logger']}: {found['words']}"

    @property
    def alarms(self) -> list[str]:
        """What is the operator's matter."""
        return list(self.lines("CRITICAL"))
