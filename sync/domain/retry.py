"""
Should it be tried again, and when? Decisions are values; the time and the dice are passed in.

The schedule of deliveries to the CRM is that of Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): now, 5 s, 5 min, 30 min, 2 h, 5 h,
10 h, 14 h, 20 h, 24 h. Delays are spread by up to a tenth, so that a receiver that comes back is not met by everybody at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

DELIVERY_DELAYS = tuple(timedelta(seconds=s) for s in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
JITTER = 0.1  # of the delay, at most
#: A queue message can be hidden for at most 7 days (Azure Storage).
MAX_DELAY = timedelta(days=6)

#: So long after its time a promised job is queued again: its wake-up was lost then.
LOST_AFTER = timedelta(minutes=2)

#: While the app's own registration with Microsoft is broken, work waits for its operator and looks again after this.
OPERATOR_NEEDS = timedelta(minutes=5)

#: Waits between the tries of a send whose mailbox does not answer clearly; the last one repeats.
SEND_DELAYS = tuple(timedelta(seconds=s) for s in (1, 3, 10, 30, 120, 300, 900))
#: A mailbox that says when to come back is there: it is asked then, or after this if it has said so often already.
COME_BACK_AT_MOST = timedelta(seconds=30)
#: A message that could not be sent for so long is told as failed.
GIVE_UP_SENDING_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class RetryAt:
    """Try again then."""

    when: datetime


@dataclass(frozen=True)
class GiveUp:
    """No further try by itself."""

    reason: str


def after_failed_delivery(
    attempts: int, now: datetime, *, dice: float, retry_after: timedelta | None = None, gone: bool = False
) -> RetryAt | GiveUp:
    """
    Decide after a delivery to the CRM failed.

    Args:
        attempts: how many tries there were, this one included (1 or more).

        dice: a random number from 0 to 1.

        retry_after: what the receiver asked for; it delays a try, and never brings one forward.

        gone: the receiver answered 410.
    """
    if gone:
        return GiveUp("the receiver answered 410 Gone")
    if attempts > len(DELIVERY_DELAYS):
        return GiveUp(f"{attempts} tries failed")
    delay = DELIVERY_DELAYS[attempts - 1] * (1 + JITTER * dice)
    return RetryAt(now + min(max(delay, retry_after or timedelta()), MAX_DELAY))


def after_unfinished_send(
    tries: int, accepted_at: datetime, now: datetime, *, retry_after: timedelta | None = None
) -> RetryAt | GiveUp:
    """
    Decide after a try to send got no clear answer.

    Args:
        tries: how many there were, this one included (1 or more).

        retry_after: when the mailbox, or who keeps its turns, is to be asked again; None or nothing where nobody said.
    """
    if now - accepted_at > GIVE_UP_SENDING_AFTER:
        return GiveUp("the mailbox gave no clear answer for 24 hours")
    delay = SEND_DELAYS[min(tries, len(SEND_DELAYS)) - 1]
    if retry_after:
        delay = max(retry_after, min(delay, COME_BACK_AT_MOST))
    return RetryAt(now + min(delay, MAX_DELAY))
