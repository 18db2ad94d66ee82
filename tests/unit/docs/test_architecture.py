"""The page about the architecture agrees with the code."""

from __future__ import annotations

import ast
import re

import pytest

from tests.paths import REPOSITORY

PAGE = (REPOSITORY / "docs/architecture.md").read_text()
ROW = re.compile(r"^\| (?P<modules>`\w+\.py`(?:, `\w+\.py`)*) \|.*\| (?P<lines>\d+) \|$", re.MULTILINE)
FOLDER = re.compile(r"^\| `(?P<folder>\w+)/` \|.*\| (?P<first>`[^|]*`) \|$", re.MULTILINE)


def lines_of_code(source: str) -> int:
    """Return the number of lines without empty ones, comments and docstrings."""
    texts = source.splitlines()
    code = {n for n, text in enumerate(texts, 1) if text.strip() and not text.strip().startswith("#")}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def test_every_module_of_the_wire_is_in_the_table_with_its_size() -> None:
    """The table names each module of `wire/` once; its lines are those of the modules, to a sixth."""
    named: list[str] = []
    for row in ROW.finditer(PAGE):
        modules = re.findall(r"\w+\.py", row["modules"])
        counted = sum(lines_of_code((REPOSITORY / "wire" / name).read_text()) for name in modules)
        assert int(row["lines"]) == pytest.approx(counted, rel=1 / 6), row[0]
        named += modules
    there = {path.name for path in (REPOSITORY / "wire").glob("*.py")} - {"__init__.py"}
    assert sorted(there) == sorted(named)


def test_reading_begins_at_what_is_there() -> None:
    """The table of folders names each folder of the product once, and where to start reading in it."""
    rows = {row["folder"]: re.findall(r"`([^`]+)`", row["first"]) for row in FOLDER.finditer(PAGE)}
    assert sorted(
        path.name for path in (REPOSITORY / "src/stemline").iterdir() if (path / "__init__.py").exists()
    ) == sorted(rows)
    missing = [f"{name}/{each}" for name, first in rows.items() for each in first]
    assert [] == [each for each in missing if not (REPOSITORY / each).exists()]
