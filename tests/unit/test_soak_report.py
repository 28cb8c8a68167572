"""The soak's report says what happened in numbers, and its plot is a picture that any browser draws."""

from pathlib import Path
from xml.etree import ElementTree as ET

from tests.cloud.soak_report import Run, percentiles, plot, text, write_report

SVG = "{http://www.w3.org/2000/svg}"


def run(**changes: object) -> Run:
    """A run of a hundred messages that took 1 to 100 s, with two kills."""
    told = Run(
        seed=7,
        mailboxes=6,
        mode="rich",
        began_at=1_000.0,
        calm_at=1_060.0,
        ended_at=1_090.0,
        sends=40,
        answers=60,
        notifications=310,
        delays=[(1_000.0 + n / 2, float(n)) for n in range(1, 101)],
        killed_at=[1_010.0, 1_020.0],
        calls={"graph": 400, "crm": 90},
        faults={"graph": {"lost": 11, "busy": 9}, "crm": {"slow": 3}, "entra": {}},
    )
    for name, value in changes.items():
        setattr(told, name, value)
    return told


def test_percentiles() -> None:
    """The median, the 95th percentile and the longest of what there is."""
    assert percentiles([float(n) for n in range(1, 102)]) == (51.0, 96.0, 101.0)
    assert percentiles([3.0]) == (3.0, 3.0, 3.0)
    assert percentiles([]) == (0.0, 0.0, 0.0)


def test_the_report_names_seed_counts_faults_and_how_to_replay() -> None:
    """What a reader needs to judge the run, and to play it again."""
    report = text([run()])

    assert "| 7 | rich | 6 | 40 | 60 | 0 | 310 | 0 | 2 | 0 | 1.5 |" in report
    assert "| 7 | 100 | 50.5 | 95.0 | 100.0 |" in report
    assert "| 7 | graph | 400 | 9 | 11 | 0 |" in report
    assert "| 7 | crm | 90 | 0 | 0 | 3 |" in report
    assert "Nothing lost" in report
    assert "CHAOS_SEEDS=<seed> CHAOS_MODE=<mode>" in report


def test_what_did_not_hold_is_said() -> None:
    """A run with problems does not read as a good one; poison messages and undelivered events are listed."""
    report = text([run(problems=["a lost message"], undelivered=["evt_1: 410"], poison={"mail-changes": 2})])

    assert "Nothing lost" not in report
    assert all(words in report for words in ("a lost message", "evt_1: 410", "2 in mail-changes"))


def test_the_plot_has_a_point_for_each_message_and_a_line_for_each_kill(tmp_path: Path) -> None:
    """It is well-formed SVG, all points lie inside, and it has colours for light and dark."""
    picture = plot([run(), run(seed=8)])

    drawing = ET.fromstring(picture)
    points = [c for c in drawing.iter(f"{SVG}circle") if c.get("r") == "2.5"]
    assert len(points) == 200
    assert all(70 <= float(c.get("cx", 0)) <= 940 and 56 <= float(c.get("cy", 0)) <= 360 for c in points)
    assert len([line for line in drawing.iter(f"{SVG}line") if line.get("class") == "kill"]) == 4
    assert "prefers-color-scheme: dark" in picture
    assert write_report([run()], tmp_path).read_text() == text([run()])
    assert (tmp_path / "delay.svg").read_text() == plot([run()])
