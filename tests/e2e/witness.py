"""
A cloud of its own in which nothing else happens, so that a request can be seen to have changed nothing at all.

Looked at before and after: every row, blob and queue message by its version, every function that a queue started, every
call to Microsoft Graph and to Entra ID, every delivery to the CRM, every email.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.cloud.local import LocalCloud
from tests.e2e.account import Connected, Json
from tests.e2e.storage import Contents, Storage

#: So often a look is taken again. What disturbs it comes twice a minute: where it does each time, the look itself is the cause.
ROUNDS = 10
#: The members of every problem document (RFC 9457, and the contract's own).
PROBLEM = {"type", "title", "status", "detail", "code", "retryable", "request_id"}


@dataclass(frozen=True)
class Everything:
    """What there is, and how much has happened so far."""

    stored: Contents
    queue_functions: dict[str, int]
    graph_calls: int
    sign_in_calls: int
    deliveries: int
    smtp_emails: int


@dataclass(frozen=True)
class Witness:
    """Watches one cloud, in which `user` is connected and nobody has sent anything yet."""

    cloud: LocalCloud
    storage: Storage
    http: httpx.AsyncClient
    user: Connected

    async def everything(self) -> Everything:
        """How it all stands, once nothing runs."""
        await self.cloud.functions.idle()
        ran = self.cloud.functions.invocations
        return Everything(
            stored=await self.storage.contents(),
            queue_functions={name: times for name, times in ran.items() if name.startswith("queue_")},
            graph_calls=len(await self._listed(f"{self.cloud.graph.url}/_lab/requests")),
            sign_in_calls=len(self.cloud.entra.requests),
            deliveries=len(self.cloud.crm.attempts) + len(self.cloud.crm.refused),
            smtp_emails=len(await self._listed(f"{self.cloud.smtp.url}/_lab/messages")),
        )

    async def undisturbed[T](self, look: Callable[[], Awaitable[T]]) -> T:
        """What `look` finds in a moment in which the app is not called upon otherwise; it is called again where it was."""
        for _ in range(ROUNDS):
            await self.user.stage.quiet()
            before = self._otherwise()
            found = await look()
            await self.cloud.functions.idle()
            if self._otherwise() == before:
                return found
        raise AssertionError(f"something else happened each time: {self._otherwise() - before}")

    async def refused(self, call: Callable[[], Awaitable[httpx.Response]], status: int, code: str) -> Json:
        """The problem document that a call is answered with, having seen that it is in order and that nothing changed."""

        async def look() -> tuple[Everything, httpx.Response, Everything]:
            return await self.everything(), await call(), await self.everything()

        before, answer, after = await self.undisturbed(look)
        assert answer.status_code == status, answer.text
        assert after == before
        problem = problem_of(answer)
        assert problem["code"] == code
        return problem

    async def _listed(self, url: str) -> list[Any]:
        return list((await self.http.get(url)).json())

    def _otherwise(self) -> Counter[str]:
        ran = self.cloud.functions.invocations
        # Of the queues' functions, the one that comes back every 15 minutes by itself.
        by_itself = [name for name in ran if name.startswith("timer_") or name == "queue_mailbox_catch_up"]
        # Graph says nothing by itself to this cloud: conftest's `keeps_still`.
        return Counter({name: ran[name] for name in by_itself})


def problem_of(answer: httpx.Response) -> Json:
    """The problem document of an answer, having seen that it is one a developer can act on and a program can read."""
    problem = dict(answer.json())
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert set(problem) - {"errors", "files", "stage", "server_reply"} == PROBLEM
    assert problem["status"] == answer.status_code
    assert isinstance(problem["retryable"], bool)
    assert problem["type"].endswith(problem["code"])
    assert len(problem["detail"].split()) >= 5, "a detail is a sentence"
    assert "\n" not in problem["detail"]
    assert len(problem["request_id"]) >= 8
    return problem
