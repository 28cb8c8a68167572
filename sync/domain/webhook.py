"""
Whether anything is delivered to the CRM, and what switches deliveries off and on. There is one receiver for the whole app.

Off: the receiver went on answering 410 Gone, or took nothing for five days although it was tried, as Standard Webhooks advises
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Disabling endpoints"). One 410 ends
the deliveries of its event alone: it may be a mistake of a moment, and would stop every account. On again: the operator says so,
sets another address, or the CRM asks for events again.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from sync.domain.event import Answer

#: Nothing was taken for so long, though it was tried: then deliveries are switched off.
GIVE_UP_AFTER = timedelta(days=5)
#: So long after its first 410, with nothing taken in between, another one is believed to be meant for good.
GONE_FOR = timedelta(minutes=1)
#: What only says when something happened last is written this often at most; what changes is written at once.
NOTED_EVERY = timedelta(minutes=1)
#: A failure can be noted so much later than an event was given up for it: noting takes its time, and several workers note.
SLACK = timedelta(minutes=5)

GONE = "The receiver answered 410 Gone."
FAILING = "The receiver has taken nothing for 5 days."
#: Why an event is undelivered that came to its turn while deliveries were off.
SWITCHED_OFF = "Deliveries were switched off."


@dataclass(frozen=True)
class Failure:
    """The last delivery that was not taken. `status` None: no answer came, `error` says why."""

    at: datetime
    status: int | None
    error: str = ""


@dataclass(frozen=True)
class Webhook:
    """
    How it stands with the receiver at one address, of which only a hash is kept.

    `since`: when it was switched on or off last, None: never. `failing_since`: the first failure since it last took something;
    `gone_since`: the first 410.
    `troubled_since`: what became undelivered from then on comes back once deliveries are on again. `noted_at`: when this was
    last written. `version` is the stored row's etag; None: not stored yet.
    """

    url_hash: str
    state: Literal["on", "off"] = "on"
    reason: str = ""
    since: datetime | None = None
    last_accepted_at: datetime | None = None
    last_failure: Failure | None = None
    failing_since: datetime | None = None
    gone_since: datetime | None = None
    troubled_since: datetime | None = None
    noted_at: datetime | None = None
    version: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Undelivered:
    """An event that is not tried any more by itself, and when that was decided."""

    account_id: str
    sequence: int
    event_id: str
    at: datetime


def of_address(stored: Webhook | None, url_hash: str, now: datetime) -> Webhook:
    """What is known of the receiver at this address; of a new one only when the one before took something last."""
    if stored is None:
        return Webhook(url_hash)
    if stored.url_hash == url_hash:
        return stored
    return replace(switched_on(stored, now), url_hash=url_hash, failing_since=None, gone_since=None)


def noted(
    webhook: Webhook, answer: Answer, began_at: datetime, now: datetime, *, gone_for: timedelta = GONE_FOR
) -> Webhook:
    """
    The webhook after a delivery.

    A delivery that began before deliveries were switched on says nothing of what was mended since.
    """
    if webhook.state == "off" or (webhook.since is not None and began_at < webhook.since):
        return webhook
    if answer.accepted:
        return replace(webhook, last_accepted_at=now, failing_since=None, gone_since=None, noted_at=now)
    failing = replace(
        webhook,
        last_failure=Failure(now, answer.status, answer.error),
        failing_since=webhook.failing_since or now,
        noted_at=now,
    )
    if answer.status == 410:
        gone_since = webhook.gone_since or now
        failing = replace(failing, gone_since=gone_since)
        if now - gone_since >= gone_for:
            return _switched_off(failing, GONE, now)
    if failing.failing_since is not None and now - failing.failing_since >= GIVE_UP_AFTER:
        return _switched_off(failing, FAILING, now)
    return failing


def switched_on(webhook: Webhook, now: datetime) -> Webhook:
    """The webhook with deliveries on; as it is where they are."""
    if webhook.state == "on":
        return webhook
    return replace(webhook, state="on", reason="", since=now, failing_since=None, gone_since=None, noted_at=now)


def worth_writing(before: Webhook, after: Webhook, now: datetime) -> bool:
    """Whether a delivery changed what is known so much that it is written; most only repeat it."""
    if after == before:
        return False
    if after.state != before.state or (before.failing_since is not None and after.failing_since is None):
        return True
    if after.gone_since != before.gone_since:
        return True
    return before.noted_at is None or now - before.noted_at >= NOTED_EVERY


def _switched_off(webhook: Webhook, reason: str, now: datetime) -> Webhook:
    troubled_since = (webhook.failing_since or now) - SLACK
    return replace(webhook, state="off", reason=reason, since=now, troubled_since=troubled_since)
