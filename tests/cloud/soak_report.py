"""
The report of a soak: what was done, what failed on the way, how long the CRM waited for its mail, and a plot of that.

`write_report` leaves `report.md`, `runs.json` and `delay.svg` in build/soak. The plot is written by hand and takes its colours
from the reader's light or dark preference.
"""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "soak"

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 56, 60
#: Delays are drawn on a scale of powers of ten, in seconds.
MARKS_S = (0.1, 1, 10, 100, 1_000)
STYLE = """
  svg { --ink: #1d2330; --soft: #5a6375; --line: #d9dde5; --paper: #ffffff; --calm: #eef3ee; }
  .seed0 { fill: #1f6feb } .seed1 { fill: #b35900 } .seed2 { fill: #1a7f37 } .kill { stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6e9ef; --soft: #a3adbd; --line: #353c49; --paper: #12161d; --calm: #18221b; }
    .seed0 { fill: #6cb0ff } .seed1 { fill: #ffb057 } .seed2 { fill: #5fd382 } .kill { stroke: #ff7b72 }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--soft) } .title { font-size: 16px; font-weight: 600; fill: var(--ink) }
  .paper { fill: var(--paper) } .calm { fill: var(--calm) } .grid { stroke: var(--line) }
  .kill { stroke-dasharray: 3 4; opacity: .7 }
  circle { opacity: .55 }
"""


@dataclass
class Run:
    """
    What one seed came to. Times are seconds since 1970.

    delays: for each message, when it began (a send was accepted, mail was in the mailbox) and how many seconds later the CRM had
    its event. faults: by neighbour and kind. calm_at: when faults ended and what was left was worked off.
    """

    seed: int
    mailboxes: int
    #: of notifications: basic, rich
    mode: str = "basic"
    began_at: float = 0
    calm_at: float = 0
    ended_at: float = 0
    sends: int = 0
    answers: int = 0
    unrelated: int = 0
    notifications: int = 0
    dropped: int = 0
    events: dict[str, int] = field(default_factory=dict)
    delays: list[tuple[float, float]] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    poison: dict[str, int] = field(default_factory=dict)
    undelivered: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How often the worker was killed."""
        return len(self.killed_at)


def write_report(runs: list[Run], folder: Path = FOLDER) -> Path:
    """Write the files; returns where the report is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.json").write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    (folder / "delay.svg").write_text(plot(runs))
    report = folder / "report.md"
    report.write_text(text(runs))
    return report


def text(runs: list[Run]) -> str:
    """The report in Markdown."""
    verdict = "Nothing lost, nothing twice, no hole in any feed."
    if any(run.problems for run in runs):
        verdict = "**Not everything held**: see the end."
    parts = [
        "# Soak",
        verdict,
        _table(
            [
                "seed",
                "mode",
                "mailboxes",
                "sends",
                "answers",
                "unrelated",
                "notifications",
                "dropped",
                "kills",
                "events",
                "minutes",
            ],
            [
                [
                    run.seed,
                    run.mode,
                    run.mailboxes,
                    run.sends,
                    run.answers,
                    run.unrelated,
                    run.notifications,
                    run.dropped,
                    run.kills,
                    sum(run.events.values()),
                    f"{(run.ended_at - run.began_at) / 60:.1f}",
                ]
                for run in runs
            ],
        ),
        "## From a message's beginning to the CRM's receipt, in seconds",
        "Of those begun under faults; what only a later look through the mailbox found counts with the time until then.",
        _table(
            ["seed", "messages", "p50", "p95", "max"],
            [
                [run.seed, len(run.delays), *(f"{v:.1f}" for v in percentiles([d for _, d in run.delays]))]
                for run in runs
            ],
        ),
        "![Delivery delay of each message](delay.svg)",
        "## Faults injected",
        _faults(runs),
        "## What was left",
        *(_left(run) for run in runs),
        "A seed is replayed with `CHAOS=full CHAOS_SEEDS=<seed> CHAOS_MODE=<mode> make soak`.",
    ]
    return "\n\n".join(parts) + "\n"


def percentiles(delays: list[float]) -> tuple[float, float, float]:
    """The median, the 95th percentile and the longest; zeros of nothing."""
    if not delays:
        return 0.0, 0.0, 0.0
    if len(delays) == 1:
        return delays[0], delays[0], delays[0]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return cuts[49], cuts[94], max(delays)


def _faults(runs: list[Run]) -> str:
    kinds = sorted({kind for run in runs for of in run.faults.values() for kind in of})
    rows = [
        [run.seed, neighbour, run.calls.get(neighbour, 0), *(of.get(kind, 0) for kind in kinds)]
        for run in runs
        for neighbour, of in run.faults.items()
        if of
    ]
    return _table(["seed", "neighbour", "calls", *kinds], rows)


def _left(run: Run) -> str:
    poison = ", ".join(f"{count} in {queue}" for queue, count in run.poison.items()) or "none"
    lines = [f"- Seed {run.seed}: poison messages: {poison}; undelivered events: {len(run.undelivered)}."]
    lines += [f"  - {words}" for words in (*run.undelivered, *run.problems)]
    return "\n".join(lines)


def _table(heads: list[str], rows: list[list[object]]) -> str:
    lines: list[Sequence[object]] = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def plot(runs: list[Run]) -> str:
    """Each message as a point: when it began, and how long the CRM waited for it; each kill of the worker as a line."""
    span = max([run.ended_at - run.began_at for run in runs] + [1.0])

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(seconds / span, 0), 1)

    def y(delay_s: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(delay_s)

    shapes = [f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>']
    calm = min([run.calm_at - run.began_at for run in runs] + [span])
    shapes.append(
        f'<rect class="calm" x="{x(calm):.1f}" y="{TOP}" width="{WIDTH - RIGHT - x(calm):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
    )
    for mark in MARKS_S:
        shapes.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        shapes.append(f'<text x="{LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g} s</text>')
    for part in range(6):
        at = span * part / 5
        anchor = "end" if part == 5 else "middle"
        shapes.append(f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="{anchor}">{_duration(at)}</text>')
    for number, run in enumerate(runs):
        for killed in run.killed_at:
            at = x(killed - run.began_at)
            shapes.append(f'<line class="kill" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        for began, delay in run.delays:
            shapes.append(
                f'<circle class="seed{number % 3}" cx="{x(began - run.began_at):.1f}" cy="{y(delay):.1f}" r="2.5"/>'
            )
        at = LEFT + 120 * number
        shapes.append(f'<circle class="seed{number % 3}" cx="{at + 6}" cy="{TOP - 14}" r="5" style="opacity:1"/>')
        shapes.append(f'<text x="{at + 16}" y="{TOP - 10}">seed {run.seed}</text>')
    legend = "dashed: the worker is killed · tinted: faults are over, the rest is worked off"
    middle, when = (LEFT + WIDTH - RIGHT) / 2, "when it began, since the first deed"
    shapes += [
        f'<text class="title" x="{LEFT}" y="24">Delivery delay of each message</text>',
        f'<text x="{WIDTH - RIGHT}" y="{TOP - 10}" text-anchor="end">{legend}</text>',
        f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{when}</text>',
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
    return (
        "\n".join([head, "<title>Delivery delay of each message</title>", f"<style>{STYLE}</style>", *shapes, "</svg>"])
        + "\n"
    )


def _share(delay_s: float) -> float:
    """Where a delay stands between the lowest mark and the highest, 0 to 1, by its logarithm."""
    lowest, highest = math.log10(MARKS_S[0]), math.log10(MARKS_S[-1])
    return min(max((math.log10(max(delay_s, MARKS_S[0])) - lowest) / (highest - lowest), 0), 1)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"
