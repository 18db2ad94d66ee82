"""A figure in a document is that of a result file, or it fails the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import Report, digests
from tests.paths import REPOSITORY
from tools import figures
from tools.figures import problems, written

PAGE = "docs/performance.md"
TABLE = "| call | ms |\n| --- | ---: |\n| claim | 3 |"
FIGURES: dict[str, dict[str, Any]] = {
    "wait_ms": {
        "label": "wait",
        "unit": "ms",
        "min": 5.0,
        "median": 6.44,
        "p99": 10.4,
        "max": 12.0,
        "count": 9,
    }
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one result file, whose program is one line."""
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "program.py").write_text("x = 1\n")
    content = {"figures": FIGURES, "tables": {"calls": TABLE}, "sources": {"program.py": digest(tmp_path)}}
    (tmp_path / "benchmarks/results/run.json").write_text(json.dumps(content))
    return tmp_path


def digest(root: Path) -> str:
    import hashlib

    return hashlib.sha256((root / "program.py").read_bytes()).hexdigest()


def said(root: Path, text: str, page: str = PAGE) -> str:
    return "\n".join(problems(root, {page: text}))


TRUE = [
    "<!-- figure: run.wait_ms -->6.4<!-- /figure --> ms",
    "<!-- figure: run.wait_ms -->6.44 ms<!-- /figure -->",
    "<!-- figure: run.wait_ms.p99 -->10<!-- /figure --> ms",
    f"<!-- table: run.calls -->\n\n{TABLE}\n\n<!-- /table -->\n",
    "a lease of <!-- not measured -->20 s<!-- /not measured -->, `20 s`, 3 of 4 jobs, RFC 9110",
]
FALSE = {
    "another value": (
        "<!-- figure: run.wait_ms -->6.3<!-- /figure --> ms",
        "'6.3' is not the median of wait_ms",
    ),
    "another statistic": ("<!-- figure: run.wait_ms.max -->10.4<!-- /figure -->", "'10.4' is not the max"),
    "no such key": ("<!-- figure: run.wait_s -->6<!-- /figure -->", "there is no median of wait_s"),
    "no such file": ("<!-- figure: walk.wait_ms -->6<!-- /figure -->", "there is no median of wait_ms in"),
    "no file at all": ("It takes 6.4 ms.", "a figure without a file: '6.4 ms'"),
    "a range": ("It takes 5 to 7 ms.", "a figure without a file: '5 to 7 ms'"),
    "times": ("It is 7\u00d7 as fast.", "a figure without a file: '7\u00d7'"),
    "a table of another run": (
        f"<!-- table: run.calls -->\n\n{TABLE.replace('3', '4')}\n\n<!-- /table -->\n",
        "the table is not calls of",
    ),
}


@pytest.mark.parametrize("text", TRUE)
def test_what_the_file_says_passes(root: Path, text: str) -> None:
    """Figures rounded as they are shown, tables as they are, and what is said to be no measurement."""
    assert said(root, text) == ""


@pytest.mark.parametrize("name", FALSE)
def test_a_false_figure_is_found(root: Path, name: str) -> None:
    """A value, statistic, key, file or table that is another, and a figure that has none."""
    text, expected = FALSE[name]
    assert expected in said(root, text)


@pytest.mark.parametrize(
    "text",
    [
        "9 seconds", "9 milliseconds", "1.5 minutes", "2 hours", "9x", "9-fold", "nine times", "64 KiB",
        "a hundred times", "7 percent", "7 per cent", "3 gigabytes", "1,000 jobs per second", "1,000/s",
        "20 per second", "4 to 7 requests/s", "9\u00a0s",
    ],
)  # fmt: skip
def test_a_figure_is_found_in_each_notation(root: Path, text: str) -> None:
    """However the unit is written, and where the number is a word."""
    assert f"a figure without a file: {text!r}" in said(root, f"It is {text} here.")


@pytest.mark.parametrize("text", ["16 songs", "version 2.4", "two jobs", "the first time", "a 44100 Hz file"])
def test_what_has_no_unit_of_measurement_is_left_alone(root: Path, text: str) -> None:
    """Counts, versions and formats."""
    assert said(root, f"It is {text} here.") == ""


def test_other_pages_may_have_numbers_of_their_own(root: Path) -> None:
    """Only the pages of the list must have a file for each; a marked figure is checked everywhere."""
    assert said(root, "A file over 16 MB is moved.", "docs/decisions.md") == ""
    assert "is not the median" in said(root, FALSE["another value"][0], "docs/decisions.md")


def test_a_program_that_changed_voids_its_results(root: Path) -> None:
    """Its file says by which program it was measured."""
    (root / "program.py").write_text("x = 2\n")
    assert "run.json is void: program.py was changed since. Measure again" in said(root, "")


def test_pages_are_written_from_the_files(root: Path) -> None:
    """A figure keeps its number of digits; a table is replaced; afterwards nothing is left to say."""
    old = (
        "<!-- figure: run.wait_ms -->1.0 ms<!-- /figure -->\n"
        "<!-- figure: run.wait_ms.p99 -->3<!-- /figure -->\n"
        "\n<!-- table: run.calls -->\n<!-- /table -->\n"
    )
    new = written(root, old)
    assert "-->6.4 ms<!--" in new
    assert "-->10<!--" in new
    assert f"\n\n{TABLE}\n\n" in new
    assert said(root, new) == ""


def test_a_report_holds_what_was_measured_and_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON with every value and its range, the machine, versions, commit and program; Markdown; a plot."""
    report = Report("try", "A try", ["benchmarks/report.py"])
    report.add("wait_ms", [3, 1, 2], unit="ms", label="wait")
    report.table("calls", ("call", "ms"), [("claim", 3)])
    report.write(tmp_path)
    content = json.loads((tmp_path / "try.json").read_text())
    figure = content["figures"]["wait_ms"]
    assert (1, 2, 3, [3, 1, 2]) == (figure["min"], figure["median"], figure["max"], figure["values"])
    assert digests(["benchmarks/report.py"]) == content["sources"]
    assert {
        "date",
        "commit",
        "processor",
        "flags",
        "cores",
        "load_before",
        "load_after",
        "python",
        "versions",
    } <= set(content["measured"])
    page = (tmp_path / "try.md").read_text()
    assert "| wait | ms | 3 | 1 | 2 | 3 | 3 |" in page
    assert content["measured"]["processor"] in page
    assert TABLE in page
    assert page in capsys.readouterr().out
    assert (tmp_path / "try.svg").stat().st_size > 1000


def test_every_page_agrees_with_the_files() -> None:
    """README and documents hold no figure that its file does not have, and no result is void."""
    paths = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    texts = {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in paths}
    assert set(figures.PAGES) <= texts.keys()
    assert [] == problems(REPOSITORY, texts)
