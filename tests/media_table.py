"""Writes the table of what the matrix of test media holds into docs/media.md: python -m tests.media_table."""

from __future__ import annotations

from pathlib import Path

from tests.media_formats import BY_SUFFIX

PAGE = Path(__file__).parents[1] / "docs" / "media.md"
_START, _END = "<!-- media-matrix -->\n", "<!-- end of media-matrix -->\n"


def table() -> str:
    """Return the table, a row for each container."""
    lines = ["| Container | Codecs | Arrangements | Files |", "|---|---|---|---|"]
    total = 0
    for suffix, kinds in BY_SUFFIX.items():
        arrangements = list(dict.fromkeys(each for kind in kinds for each in kind.arrangements()))
        files = sum(len(list(kind.arrangements())) for kind in kinds)
        total += files
        codecs = ", ".join(kind.codec.removeprefix("lib") for kind in kinds)
        lines.append(f"| {suffix} | {codecs} | {', '.join(arrangements)} | {files} |")
    return "\n".join([*lines, f"| | | | **{total}** |"]) + "\n"


def written(page: str) -> str:
    """Return the page with the table in its place."""
    before, rest = page.split(_START)
    return before + _START + table() + _END + rest.split(_END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
