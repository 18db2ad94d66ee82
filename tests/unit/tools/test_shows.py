"""The coverage page and the tests are tied to each other in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tools.shows import problems, rows, written

PAGE = """# Coverage

| Field | Served | Notes | Shown by |
|---|---|---|---|
| `One` | yes | | `test_a::test_one` |
| `Two`, `Three` | no | | `test_a::test_two`, `test_a::test_one` |

| Not | shown |
|---|---|
| a | b |
"""
TESTS = """
@pytest.mark.shows("One", "Two, Three")
def test_one(): ...

@pytest.mark.shows("Two, Three")
@pytest.mark.slow
def test_two(): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_a.py").write_text(TESTS)
    return tmp_path


def test_a_row_is_known_by_its_first_cell() -> None:
    """Only tables that say what shows their rows have rows."""
    assert ["One", "Two, Three"] == [row.key for row in rows(PAGE)]


def test_what_is_before_a_colon_names_the_row(folder: Path) -> None:
    """A cell may list fields behind a colon, which the mark leaves out."""
    page = PAGE.replace("| `One` |", "| `One`: `a`, `b` |")
    assert [] == problems(written(page, folder), folder)


def test_the_last_column_is_written_from_the_marks(folder: Path) -> None:
    """In the order of the tests in their file; what is written has no problems."""
    page = written(PAGE, folder)
    assert "| `Two`, `Three` | no | | `test_a::test_one`, `test_a::test_two` |\n" in page
    assert [] == problems(page, folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "def test_one",
            "def test_renamed",
            "other tests than those that show it (`test_a::test_renamed`)",
        ),
        ('@pytest.mark.shows("One", "Two, Three")', "", "No test shows the row: One"),
        ('("One", ', '("Gone", ', "test_a::test_one shows a row that is not on the page: Gone"),
        ("@pytest.mark.slow", "@pytest.mark.skip", "test_two shows a row, but is not always run."),
        (
            "@pytest.mark.slow",
            "@pytest.mark.skipif(True)",
            "test_two shows a row, but is not always run.",
        ),
        ("@pytest.mark.slow", "@mark.xfail", "test_two shows a row, but is not always run."),
        (
            "@pytest.mark.slow",
            '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.skip)])',
            "test_two shows a row, but is not always run.",
        ),
        ("def test_two(): ...", "def test_two():\n    pytest.skip('x')", "test_two shows a row, but is not"),
        ("\n", "\npytestmark = pytest.mark.skip\n", "test_one shows a row, but is not always run."),
    ],
    ids=[
        "renamed",
        "unmarked",
        "unknown row",
        "skipped",
        "skipped if",
        "expected to fail, by a short name",
        "a parameter",
        "in the body",
        "the whole module",
    ],
)
def test_what_does_not_agree_is_said(folder: Path, old: str, new: str, said: str) -> None:
    """A renamed test, a row without a test, a mark without a row, and a test that is skipped."""
    page = written(PAGE, folder)
    (folder / "test_a.py").write_text(TESTS.replace(old, new, 1))
    assert said in "\n".join(problems(page, folder))


def test_the_page_agrees_with_the_tests() -> None:
    """docs/wire-coverage.md names the tests that carry its rows: `python -m tools.shows --write`."""
    page = (REPOSITORY / "docs" / "wire-coverage.md").read_text()
    assert [] == problems(page, REPOSITORY / "tests")
