"""Write the tables of exit statuses into the pages: ``python -m tools.docs.statuses``."""

from __future__ import annotations

import re
from pathlib import Path

from stemline.cli.statuses import STATUSES

REPOSITORY = Path(__file__).resolve().parents[2]
_TABLE = re.compile(r"^\| Status \| (?:Meaning|When) \|.*?(?=\n\n|\n\Z)", re.DOTALL | re.MULTILINE)


def pages() -> dict[str, str]:
    """Return the text of each page with a table of statuses by its path below the repository."""
    meanings = ["| Status | Meaning |", "|---|---|"]
    meanings += [f"| {status} | {when} |" for status, (when, _) in STATUSES.items()]
    cures = ["| Status | When | What to do |", "|---|---|---|"]
    cures += [f"| {status} | {when} | {cure} |" for status, (when, cure) in STATUSES.items()]
    return {name: _with(name, table) for name, table in (("cli", meanings), ("errors", cures))}


def _with(name: str, lines: list[str]) -> str:
    return _TABLE.sub(lambda _: "\n".join(lines), page_of(name).read_text(), count=1)


def page_of(name: str) -> Path:
    """Return the file of a page."""
    return REPOSITORY / "docs" / f"{name}.md"


if __name__ == "__main__":
    for name, text in pages().items():
        page_of(name).write_text(text)
