"""The fenced blocks of the documentation, and the comments that say which test runs each of them.

The line before a block is one of

- ``<!-- run: test_module::test_name -->``: that test runs the block as it is printed;
- ``<!-- not run: reason -->``.

Blocks without a comment are data or drawings: JSON, YAML and XML, which a test parses, diagrams, which a test
draws, and ``text``, which shows what a program prints. A page of which no block is run says so once, in a
comment ``<!-- no block is run: reason -->``; one whose blocks of a language are all run by one test says
``<!-- each python block is run: test_module::test_name -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.paths import REPOSITORY

_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>run|not run): (?P<what>.*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NONE = re.compile(r"^<!-- no block is run: (.*?) -->$", re.MULTILINE)
_EACH = re.compile(r"^<!-- each (\w+) block is run: (\S+) -->$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    """Path of its page in the repository."""
    line: int
    language: str
    code: str
    test: str = ""
    """``module::name`` of the test that runs it."""
    reason: str = ""
    """Why it is not run."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The pages whose blocks are read."""
    return sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def all_blocks() -> list[Block]:
    """All blocks of all pages."""
    return [block for page in pages() for block in blocks_of(page.read_text(), page)]


def blocks_of(text: str, page: Path) -> Iterator[Block]:
    """The blocks of a page's text."""
    none, each = _NONE.search(text), dict(_EACH.findall(text))
    for match in _FENCE.finditer(text):
        mark, what = match["mark"], (match["what"] or "").strip()
        test, reason = (what, "") if mark == "run" else ("", what)
        if not mark:
            test, reason = each.get(match["language"], ""), none[1] if none else ""
        lines = match["code"].splitlines(keepends=True)
        yield Block(
            page=str(page.relative_to(REPOSITORY)),
            line=text.count("\n", 0, match.start("language")) + 1,
            language=match["language"],
            code="".join(line.removeprefix(match["indent"]) for line in lines),
            test=test,
            reason=reason,
        )


def run_by(test: str, page: str = "") -> list[str]:
    """The code of the blocks that a test runs, in the order of the pages.

    Args:
        test: ``module::name``.
        page: Only those of this page.
    """
    found = [block.code for block in all_blocks() if block.test == test and page in {"", block.page}]
    assert found, f"no block is marked with run: {test}"
    return found
