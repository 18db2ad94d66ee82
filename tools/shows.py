"""Tie the rows of docs/wire-coverage.md to the tests that show them.

    python -m tools.shows            # say what does not agree, and exit with 1 then
    python -m tools.shows --write    # write the last column of the page from the tests

A test carries ``@pytest.mark.shows("…")`` with the first cell of each row that it shows, without backticks;
of a long cell, what is before a comma or a colon, if no other row begins so.
A test that is always skipped, or expected to fail, shows nothing; in CI, one that is skipped fails.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/wire-coverage.md")
TESTS = Path("tests")
_HEADING = "Shown by"
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_NOT_RUN = re.compile(r"\b(?:mark|pytest)\.(?:skip|skipif|xfail)\b")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page."""

    line: int
    """Its index among the lines of the page."""
    key: str
    """Its first cell, without backticks."""
    shown_by: str
    """Its last cell."""


def rows(page: str) -> list[Row]:
    """Return the rows of all tables whose last column says what shows them."""
    found: list[Row] = []
    is_shown = False
    for number, line in enumerate(page.splitlines()):
        if not line.startswith("|"):
            is_shown = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[-1] == _HEADING:
            is_shown = True
        elif is_shown and not line.startswith("|-"):
            found.append(Row(number, cells[0].replace("`", ""), cells[-1]))
    return found


def shown(tests: Path) -> dict[str, list[str]]:
    """Return the tests of each row, as ``module::function``, in the order of their files.

    Raises:
        ValueError: A test that shows a row is skipped or expected to fail.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(tests.rglob("test_*.py")):
        module = ast.parse(file.read_text())
        for node in ast.walk(module):
            if isinstance(node, _Function):
                name = f"{file.stem}::{node.name}"
                keys = list(_keys(node))
                if keys and any(_NOT_RUN.search(each) for each in (*_of_module(module), *_of_test(node))):
                    raise ValueError(f"{name} shows a row, but is not always run.")
                for key in keys:
                    found.setdefault(key, []).append(name)
    return found


def _keys(function: _Function) -> Iterator[str]:
    """Yield the rows that a function's marks name."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("mark.shows"):
            yield from (str(each.value) for each in decorator.args if isinstance(each, ast.Constant))


def _of_module(module: ast.Module) -> Iterator[str]:
    """Yield the marks of all tests of a module."""
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield ast.unparse(node.value)


def _of_test(function: _Function) -> Iterator[str]:
    """Yield a function's decorators, marks of single parameters included, and the calls of its body."""
    yield from map(ast.unparse, function.decorator_list)
    yield from (ast.unparse(each) for each in function.body if isinstance(each, ast.Expr | ast.Raise))


def _by_row(page: str, tests: Path) -> dict[str, list[str]]:
    """Return the tests of each row, by its whole first cell; those of a mark without a row by the mark."""
    keys = [row.key for row in rows(page)]
    found: dict[str, list[str]] = {}
    for mark, names in shown(tests).items():
        begins = [key for key in keys if key.startswith((f"{mark}:", f"{mark},"))]
        key = begins[0] if mark not in keys and len(begins) == 1 else mark
        found[key] = found.get(key, []) + names
    return found


def cell(tests: list[str]) -> str:
    """Return the last cell of a row that these tests show."""
    return ", ".join(f"`{test}`" for test in tests)


def problems(page: str, tests: Path) -> list[str]:
    """Return what does not agree between the page and the tests."""
    try:
        by_row = _by_row(page, tests)
    except ValueError as error:
        return [str(error)]
    all_rows = rows(page)
    keys = [row.key for row in all_rows]
    said = [f"Two rows begin with: {key}" for key in sorted({key for key in keys if keys.count(key) > 1})]
    said += [
        f"{by_row[key][0]} shows a row that is not on the page: {key}" for key in by_row.keys() - set(keys)
    ]
    for row in all_rows:
        if row.key not in by_row:
            said.append(f"No test shows the row: {row.key}")
        elif cell(by_row[row.key]) != row.shown_by:
            said.append(
                f"The row names other tests than those that show it ({cell(by_row[row.key])}): {row.key}"
            )
    if not all_rows:
        said.append("The page has no rows.")
    return said


def written(page: str, tests: Path) -> str:
    """Return the page with its last columns written from the tests."""
    by_row = _by_row(page, tests)
    lines = page.splitlines()
    for row in rows(page):
        if row.key in by_row:
            before, _, _ = lines[row.line].rstrip().removesuffix("|").rpartition("|")
            lines[row.line] = f"{before}| {cell(by_row[row.key])} |"
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page if asked to, and check it; return the exit status."""
    if arguments == ["--write"]:
        PAGE.write_text(written(PAGE.read_text(), TESTS))
    found = problems(PAGE.read_text(), TESTS)
    for each in found:
        print(f"{PAGE}: {each}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
