"""What switches deliveries to the CRM off and on, and how rarely that costs a write."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.domain.event import Answer
from sync.domain.webhook import (
    FAILING,
    GIVE_UP_AFTER,
    GONE,
    GONE_FOR,
    NOTED_EVERY,
    SLACK,
    Failure,
    Webhook,
    noted,
    of_address,
    switched_on,
    worth_writing,
)
from tests.unit.sample_mail import NOW

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
TAKEN, NOT_NOW, SILENT, GONE_AWAY = (
    Answer(204, 0.1),
    Answer(503, 0.1),
    Answer(None, 15.0, "ReadTimeout"),
    Answer(410, 0.1),
)
FRESH = Webhook("address")


def after(*answers: tuple[timedelta, Answer], begin: Webhook = FRESH) -> Webhook:
    """The webhook after these answers, each so long after NOW."""
    webhook = begin
    for at, answer in answers:
        webhook = noted(webhook, answer, NOW + at, NOW + at)
    return webhook


@pytest.mark.parametrize(
    ("answers", "state", "reason"),
    [
        ([], "on", ""),
        ([(0 * DAY, TAKEN)], "on", ""),
        ([(0 * DAY, NOT_NOW)], "on", ""),
        ([(0 * DAY, GONE_AWAY)], "on", ""),
        ([(0 * DAY, GONE_AWAY), (GONE_FOR - SECOND, GONE_AWAY)], "on", ""),
        ([(0 * DAY, GONE_AWAY), (GONE_FOR, GONE_AWAY)], "off", GONE),
        ([(0 * DAY, GONE_AWAY), (SECOND, NOT_NOW), (GONE_FOR, GONE_AWAY)], "off", GONE),
        ([(0 * DAY, GONE_AWAY), (SECOND, TAKEN), (GONE_FOR, GONE_AWAY)], "on", ""),
        ([(0 * DAY, TAKEN), (DAY, GONE_AWAY), (2 * DAY, GONE_AWAY)], "off", GONE),
        ([(0 * DAY, NOT_NOW), (GIVE_UP_AFTER - SECOND, NOT_NOW)], "on", ""),
        ([(0 * DAY, NOT_NOW), (GIVE_UP_AFTER, NOT_NOW)], "off", FAILING),
        ([(0 * DAY, NOT_NOW), (3 * DAY, SILENT), (GIVE_UP_AFTER, SILENT)], "off", FAILING),
        ([(0 * DAY, NOT_NOW), (3 * DAY, TAKEN), (GIVE_UP_AFTER, NOT_NOW)], "on", ""),
        ([(0 * DAY, NOT_NOW), (3 * DAY, TAKEN), (4 * DAY, NOT_NOW), (9 * DAY, NOT_NOW)], "off", FAILING),
        ([(0 * DAY, TAKEN), (30 * DAY, NOT_NOW)], "on", ""),
        ([(0 * DAY, Answer(301, 0.1)), (6 * DAY, Answer(404, 0.1))], "off", FAILING),
    ],
    ids=str,
)
def test_what_switches_off(answers: list[tuple[timedelta, Answer]], state: str, reason: str) -> None:
    """410 for a minute, or five days without anything taken, from the first failure on: silence is no failure."""
    webhook = after(*answers)
    assert (webhook.state, webhook.reason) == (state, reason)
    assert webhook.since == (NOW + answers[-1][0] if state == "off" else None)


def test_what_is_remembered_of_a_receiver() -> None:
    """When it took something last, and what it answered when it did not, or why no answer came."""
    webhook = after((0 * DAY, TAKEN), (DAY, SILENT), (2 * DAY, NOT_NOW))
    assert webhook.last_accepted_at == NOW
    assert webhook.last_failure == Failure(NOW + 2 * DAY, 503)
    assert webhook.failing_since == NOW + DAY
    assert after((0 * DAY, SILENT)).last_failure == Failure(NOW, None, "ReadTimeout")
    assert after((0 * DAY, SILENT), (DAY, TAKEN)).failing_since is None


def test_what_was_left_since_the_first_failure_comes_back() -> None:
    """Not only since deliveries were switched off: a schedule ends after three days, and five pass before that."""
    off = after((0 * DAY, NOT_NOW), (6 * DAY, NOT_NOW))
    assert off.troubled_since == NOW - SLACK
    assert after((DAY, GONE_AWAY), (DAY + GONE_FOR, GONE_AWAY)).troubled_since == NOW + DAY - SLACK
    assert switched_on(off, NOW + 7 * DAY).troubled_since == NOW - SLACK


def test_switched_on_it_begins_anew() -> None:
    """The days before do not count any more; what is on stays as it is."""
    off = after((0 * DAY, NOT_NOW), (6 * DAY, NOT_NOW))
    on = switched_on(off, NOW + 7 * DAY)
    assert (on.state, on.reason, on.since, on.failing_since) == ("on", "", NOW + 7 * DAY, None)
    assert after((8 * DAY, NOT_NOW), begin=on).state == "on"
    assert switched_on(FRESH, NOW) is FRESH


@pytest.mark.parametrize("answer", [TAKEN, NOT_NOW, GONE_AWAY])
def test_what_began_before_the_switch_says_nothing(answer: Answer) -> None:
    """A push under way while deliveries were switched on would else switch them off again at once; off stays off."""
    off = after((0 * DAY, GONE_AWAY), (0 * DAY + GONE_FOR, GONE_AWAY))
    assert after((SECOND, answer), begin=off) == off
    on = switched_on(off, NOW + DAY)
    assert noted(on, answer, NOW + DAY - SECOND, NOW + DAY + SECOND) == on


def test_another_address_is_another_receiver() -> None:
    """Deliveries go on at a new address, and the failures of the old one do not count; the same address changes nothing."""
    off = after((0 * DAY, TAKEN), (DAY, GONE_AWAY), (DAY + GONE_FOR, GONE_AWAY))
    moved = of_address(off, "elsewhere", NOW + 2 * DAY)
    assert (moved.state, moved.reason, moved.since, moved.url_hash) == ("on", "", NOW + 2 * DAY, "elsewhere")
    assert (moved.last_accepted_at, moved.troubled_since) == (NOW, off.troubled_since)
    assert of_address(off, "address", NOW + 2 * DAY) == off
    failing = after((0 * DAY, NOT_NOW))
    assert of_address(failing, "elsewhere", NOW + DAY).failing_since is None
    assert of_address(None, "address", NOW) == FRESH


LONG_AGO = replace(FRESH, noted_at=NOW - NOTED_EVERY, last_accepted_at=NOW - NOTED_EVERY)
JUST_NOW = replace(FRESH, noted_at=NOW - SECOND, last_accepted_at=NOW - SECOND)


@pytest.mark.parametrize(
    ("before", "answer", "written"),
    [
        (FRESH, TAKEN, True),
        (LONG_AGO, TAKEN, True),
        (JUST_NOW, TAKEN, False),
        (JUST_NOW, NOT_NOW, False),
        (LONG_AGO, NOT_NOW, True),
        (JUST_NOW, GONE_AWAY, True),
        (replace(JUST_NOW, failing_since=NOW - GIVE_UP_AFTER), NOT_NOW, True),
        (replace(JUST_NOW, failing_since=NOW - DAY), NOT_NOW, False),
        (replace(JUST_NOW, failing_since=NOW - SECOND), TAKEN, True),
        (replace(JUST_NOW, state="off"), GONE_AWAY, False),
    ],
)
def test_what_is_written(before: Webhook, answer: Answer, written: bool) -> None:
    """What changes, at once; what only repeats itself, once a minute. The end of a trouble is a change: it must not be missed."""
    now: datetime = NOW
    assert worth_writing(before, noted(before, answer, now, now), now) is written
