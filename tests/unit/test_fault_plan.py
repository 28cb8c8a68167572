"""Which calls fail is decided by the seed alone."""

from collections import Counter

from tests.cloud.fault_plan import EVERY_KIND, FaultPlan, FaultRule, Kind

CALL = "POST /v1.0/me/messages"


def decisions(plan: FaultPlan, neighbour: str = "graph", count: int = 2_000) -> list[Kind | None]:
    return [plan.decide(neighbour, number, CALL) for number in range(1, count + 1)]


def test_a_seed_replays_its_run() -> None:
    """The same seed fails the same calls in the same way; another seed, and another neighbour, others."""
    assert decisions(FaultPlan(7)) == decisions(FaultPlan(7))
    assert decisions(FaultPlan(7)) != decisions(FaultPlan(8))
    assert decisions(FaultPlan(7)) != decisions(FaultPlan(7), "table")


def test_about_as_many_calls_fail_as_the_rate_says_in_every_way_there_is() -> None:
    """5% of 2,000 is 100, give or take what chance gives; no kind is left out."""
    failed = Counter(kind for kind in decisions(FaultPlan(7)) if kind)

    assert 60 < failed.total() < 140
    assert set(failed) == set(EVERY_KIND)


def test_the_first_rule_that_matches_counts() -> None:
    """A rule names a neighbour and calls by globs; what none matches goes well."""
    plan = FaultPlan(
        7,
        (
            FaultRule(0, call="GET *"),
            FaultRule(1, "graph", "* */send", (Kind.LOST,)),
            FaultRule(1, "t*", kinds=(Kind.BUSY,)),
        ),
    )

    assert plan.decide("graph", 1, "POST /v1.0/me/messages/AAk/send") is Kind.LOST
    assert plan.decide("graph", 1, CALL) is None
    assert plan.decide("table", 1, "POST /account/journal") is Kind.BUSY
    assert plan.decide("table", 1, "GET /account/journal") is None
