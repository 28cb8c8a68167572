"""How long things are kept: each rule just before, at, and after its time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.domain.event import Attempt, Delivery, Event
from sync.domain.message import Status
from sync.domain.pace import Pace, Ticket
from sync.domain.retention import Retention, attempts_are_over, attempts_may_be_old, pace_goes, sign_in_goes
from sync.domain.sign_in import LastOutcome, LastSignIn, SignIn, Step
from tests.contracts import values
from tests.contracts.values import NOW

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
TEN_DAYS = Retention(10 * DAY)
FOR_EVER = Retention(None)


def ago(age: timedelta) -> datetime:
    """So long before now."""
    return NOW - age


MESSAGES = [
    (TEN_DAYS, 10 * DAY, Status.SYNCED, False),
    (TEN_DAYS, 10 * DAY + SECOND, Status.SYNCED, True),
    (TEN_DAYS, 11 * DAY, Status.SENT, True),
    (TEN_DAYS, 11 * DAY, Status.BOUNCED, True),
    (TEN_DAYS, 11 * DAY, Status.FAILED, True),
    (TEN_DAYS, 11 * DAY, Status.CANCELLED, True),
    (TEN_DAYS, 11 * DAY, Status.QUEUED, False),
    (TEN_DAYS, 11 * DAY, Status.SENDING, False),
    (FOR_EVER, 40_000 * DAY, Status.SYNCED, False),
]


@pytest.mark.parametrize(("keeping", "age", "status", "goes"), MESSAGES)
def test_a_message_goes_by_when_it_happened(keeping: Retention, age: timedelta, status: Status, goes: bool) -> None:
    """Not by when it was accepted, and never while it is still to be sent."""
    message = values.message("1", status=status, accepted_at=NOW, sent_at=ago(age))
    assert keeping.message_goes(message, NOW) is goes


EVENTS: list[tuple[Retention, timedelta, Delivery, bool]] = [
    (TEN_DAYS, 10 * DAY, "delivered", False),
    (TEN_DAYS, 10 * DAY + SECOND, "delivered", True),
    (TEN_DAYS, 11 * DAY, "pending", False),
    (TEN_DAYS, 30 * DAY, "undelivered", False),
    (TEN_DAYS, 30 * DAY + SECOND, "undelivered", True),
    (TEN_DAYS, 30 * DAY + SECOND, "pending", True),
    (Retention(60 * DAY), 31 * DAY, "undelivered", False),
    (Retention(60 * DAY), 61 * DAY, "undelivered", True),
    (FOR_EVER, 40_000 * DAY, "delivered", False),
]


@pytest.mark.parametrize(("keeping", "age", "delivery", "goes"), EVENTS)
def test_what_an_event_told_goes_once_the_crm_has_it(
    keeping: Retention, age: timedelta, delivery: Delivery, goes: bool
) -> None:
    """What the CRM never took is kept for 30 days, however short the retention is."""
    event = Event("evt_1", "message.synced", "acme", 1, ago(age), {}, delivery=delivery)
    assert keeping.event_goes(event, NOW) is goes


ATTEMPTS: list[tuple[list[timedelta], Delivery, bool]] = [
    ([], "delivered", True),
    ([30 * DAY], "delivered", True),
    ([30 * DAY - SECOND], "delivered", False),
    ([35 * DAY, 29 * DAY], "undelivered", False),
    ([35 * DAY, 31 * DAY], "undelivered", True),
    ([35 * DAY], "pending", False),
    ([35 * DAY], "erased", True),
]


@pytest.mark.parametrize(("ages", "delivery", "over"), ATTEMPTS)
def test_attempts_are_over_after_thirty_days(ages: list[timedelta], delivery: Delivery, over: bool) -> None:
    """All of them; while more are to come they are not."""
    attempts = tuple(Attempt(ago(age), 0.1, 500) for age in ages)
    event = Event("evt_1", "message.synced", "acme", 1, ago(40 * DAY), {}, delivery=delivery, attempts=attempts)
    assert attempts_are_over(event, NOW) is over


@pytest.mark.parametrize(("age", "may_be"), [(30 * DAY - SECOND, False), (30 * DAY, True)])
def test_only_an_old_event_can_have_old_attempts(age: timedelta, may_be: bool) -> None:
    """None was tried before it was told."""
    assert attempts_may_be_old(Event("evt_1", "message.synced", "acme", 1, ago(age), {}), NOW) is may_be


BATCHES = [
    (TEN_DAYS, 11 * DAY, 3, [], True),
    (TEN_DAYS, 10 * DAY, 3, [], False),
    (TEN_DAYS, 11 * DAY, 2, [], False),
    (TEN_DAYS, 11 * DAY, 3, [Status.SENT], False),
    (FOR_EVER, 30 * DAY, 3, [], False),
    (FOR_EVER, 31 * DAY, 3, [], True),
    (FOR_EVER, 31 * DAY, 3, [Status.SENT, Status.FAILED], True),
    (FOR_EVER, 31 * DAY, 3, [Status.SENT, Status.SENDING], False),
]


@pytest.mark.parametrize(("keeping", "age", "released", "statuses", "goes"), BATCHES)
def test_a_batch_goes_once_nobody_asks_for_it(
    keeping: Retention, age: timedelta, released: int, statuses: list[Status], goes: bool
) -> None:
    """Counted from when it began; with a retention after its emails, without one from beside them."""
    batch = values.batch("a", accepted_at=ago(age + 20 * DAY), send_at=ago(age), released=released)
    messages = [values.of_batch(batch, i, status=status) for i, status in enumerate(statuses)]
    assert keeping.batch_goes(batch, messages, NOW) is goes


@pytest.mark.parametrize(
    ("keeping", "age", "live", "messages", "goes"),
    [
        (TEN_DAYS, 11 * DAY, False, 0, True),
        (TEN_DAYS, 10 * DAY, False, 0, False),
        (TEN_DAYS, 11 * DAY, False, 1, False),
        (TEN_DAYS, 11 * DAY, True, 0, False),
        (FOR_EVER, 40_000 * DAY, False, 0, False),
    ],
)
def test_a_thread_stays_as_long_as_an_answer_can_come(
    keeping: Retention, age: timedelta, live: bool, messages: int, goes: bool
) -> None:
    """That is as long as its connection lives; and as long as a message is left of it."""
    thread = replace(values.thread("1"), started_at=ago(age))
    assert keeping.thread_goes(thread, [values.message("1")] * messages, NOW, live=live) is goes


@pytest.mark.parametrize(
    ("over_since", "outcome", "ended", "goes"),
    [
        (DAY, None, DAY, False),
        (DAY + SECOND, None, DAY, True),
        (2 * DAY, "declined", 2 * DAY, True),
        (2 * DAY, "admin_consent_required", 2 * DAY, False),
        (2 * DAY, "admin_consented", 2 * DAY, True),
        (31 * DAY, "admin_consent_required", 31 * DAY, True),
    ],
)
def test_a_sign_in_goes_a_day_after_its_time(
    over_since: timedelta, outcome: LastOutcome | None, ended: timedelta, goes: bool
) -> None:
    """One whose user waits for an administrator stays: the approval comes back with its id."""
    sign_in = SignIn("s", "acme", "u1", "https://crm.example", "", Step.ENDED, ago(over_since), "hash")
    last = LastSignIn("acme", "u1", "s", outcome, ago(ended)) if outcome is not None else None
    assert sign_in_goes(sign_in, last, NOW) is goes


def test_a_pace_goes_once_no_ticket_counts() -> None:
    """A ticket of an email that is not sent yet counts for ever, a used one for a minute."""
    waiting, used = Ticket("acme", "msg_1", ago(DAY)), Ticket("acme", "msg_2", ago(DAY), ago(61 * SECOND))
    assert pace_goes(Pace("m"), NOW)
    assert pace_goes(Pace("m", (used,)), NOW)
    assert not pace_goes(Pace("m", (replace(used, used_at=ago(59 * SECOND)),)), NOW)
    assert not pace_goes(Pace("m", (waiting,)), NOW)
