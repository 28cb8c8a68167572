"""
NCRONTAB schedules, as timer triggers write them: `{second} {minute} {hour} {day} {month} {day of week}`, in UTC.

Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions and the grammar
of the NCrontab library. A field is `*`, a value, a range `a-b`, a step `*/n`, `a-b/n` or `a/n` (from a to the maximum),
or several of these with commas. Months and days of the week also go by their English names; Sunday is 0. Day and
day of week must both match, unlike Unix cron. Five fields mean second 0, as the host accepts too.
Not imitated: a schedule given as an interval (`00:05:00`) and WEBSITE_TIME_ZONE.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

#: Two leap days can be eight years apart (1896 to 1904, 2096 to 2104), and twelve when a weekday is asked for as well.
FURTHEST = timedelta(days=366 * 41)


class ScheduleError(ValueError):
    """This is not an NCRONTAB expression."""


@dataclass(frozen=True)
class Schedule:
    """The allowed values of each field; days of the week count from Sunday as 0."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, when: datetime) -> datetime:
        """
        The first occurrence later than `when`, in the zone of `when`.

        Raises ScheduleError where there is none, as for 30 February.
        """
        start = when.replace(microsecond=0) + timedelta(seconds=1)
        midnight = start.replace(hour=0, minute=0, second=0)
        while midnight - start < FURTHEST:
            if self._day_matches(midnight) and (found := self._first_of_day(midnight, start)):
                return found
            midnight += timedelta(days=1)
        raise ScheduleError("this schedule never occurs")

    def _day_matches(self, day: datetime) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _first_of_day(self, midnight: datetime, start: datetime) -> datetime | None:
        """The first time of this day that is not before `start`."""
        for hour in self.hours:
            if midnight.replace(hour=hour, minute=59, second=59) < start:
                continue
            for minute in self.minutes:
                for second in self.seconds:
                    time = midnight.replace(hour=hour, minute=minute, second=second)
                    if time >= start:
                        return time
        return None


def parse(expression: str) -> Schedule:
    """Read an expression of six (or five) fields; raises ScheduleError that names the field at fault."""
    fields = expression.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ScheduleError(f"{expression!r} has {len(fields)} fields, an NCRONTAB expression has six")
    second, minute, hour, day, month, weekday = fields
    return Schedule(
        seconds=tuple(sorted(_values("second", second, 0, 59))),
        minutes=tuple(sorted(_values("minute", minute, 0, 59))),
        hours=tuple(sorted(_values("hour", hour, 0, 23))),
        days=_values("day", day, 1, 31),
        months=_values("month", month, 1, 12, MONTHS),
        weekdays=_values("day of week", weekday, 0, 6, WEEKDAYS),
    )


def _values(field: str, text: str, lowest: int, highest: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """The set of values that one field allows."""

    def number(part: str) -> int:
        if part[:3].lower() in names and part.isalpha():
            return names.index(part[:3].lower()) + lowest
        if not (part.isascii() and part.isdigit()) or not lowest <= int(part) <= highest:
            raise ScheduleError(f"{part!r} is no {field} from {lowest} to {highest}")
        return int(part)

    allowed: set[int] = set()
    for item in text.split(","):
        span, slash, step_text = item.partition("/")
        if slash and not (step_text.isascii() and step_text.isdigit() and int(step_text)):
            raise ScheduleError(f"{step_text!r} is no step for the {field}")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = lowest, highest
        elif dash:
            start, end = number(first), number(last)
        else:
            start = number(first)
            end = highest if slash else start
        if start > end:
            raise ScheduleError(f"{span!r} is no range of the {field}: it ends before it begins")
        allowed.update(range(start, end + 1, int(step_text) if slash else 1))
    return frozenset(allowed)
