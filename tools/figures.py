"""Hold the figures of README and documents against the files of benchmarks/results.

    python -m tools.figures           # say what does not agree, and exit with 1 then
    python -m tools.figures --write   # write figures and tables into the pages from the files

A figure stands between markers that name its file, its key and, unless it is the median, which value:

    <!-- figure: separation.song.wall_ratio -->9.1<!-- /figure -->
    <!-- figure: overhead.wait.p99 -->10.4<!-- /figure -->

A table stands between ``<!-- table: NAME.KEY -->`` and ``<!-- /table -->``, each on a line of its own.
On the pages of `PAGES` every other number with a unit of measurement, however it is written (``9 s``,
``9 seconds``, ``9x``, ``9-fold``, ``nine times``), must be code, or stand between ``<!-- not measured -->``
and ``<!-- /not measured -->``: settings, formats, arithmetic, and what others state. Decision records
keep the figures that were known when they were written.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

PAGES: Final = (
    "README.md",
    "docs/performance.md",
    "docs/reliability.md",
    "docs/api.md",
    "docs/beyond-vendor.md",
    "docs/cli.md",
    "docs/client.md",
    "docs/first-stem.md",
    "docs/ten-thousand-tracks.md",
    "docs/scaling.md",
    "docs/callbacks.md",
    "docs/comparison.md",
    "docs/console.md",
    "docs/deployment.md",
    "docs/faq.md",
    "docs/glossary.md",
    "docs/gpu.md",
    "docs/local-stack.md",
    "docs/media.md",
    "docs/models.md",
    "docs/observing.md",
    "docs/operations.md",
    "docs/quality.md",
    "docs/sdks.md",
    "docs/security.md",
    "docs/storage.md",
    "docs/troubleshooting.md",
)
"""Pages on which every figure must have a file."""
RESULTS: Final = Path("benchmarks/results")
_FIGURE: Final = re.compile(
    r"<!-- figure: ([\w-]+)\.([\w.+-]+?)(\.(?:min|p99|max|count))? -->(.*?)<!-- /figure -->"
)
_TABLE: Final = re.compile(r"(<!-- table: ([\w-]+)\.([\w.-]+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)
_GIVEN: Final = re.compile(r"<!-- not measured -->.*?<!-- /not measured -->", re.DOTALL)
_CODE: Final = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_WORD: Final = r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|a hundred)"
_MEASURED: Final = re.compile(
    r"(?<![\w.])(?:\d[\d,.]*(?:\s?(?:to|\u2013)\s?[\d,.]+)?[\s\u202f\u00a0]?"
    r"(?:(?:milli|micro)?seconds?|ms|µs|s|minutes?|min|hours?|h|[kKMGT]i?B|(?:kilo|mega|giga)bytes?|dB|%|per\s?cent|"
    r"\u00d7|x|-?fold|times|(?:GFLOP|jobs|requests)?/s|(?:jobs |requests )?(?:a|per) second|GFLOP)"
    rf"|{_WORD}[\s-](?:fold|times|per\s?cent))(?![\w/])",
    re.IGNORECASE,
)


def problems(root: Path, pages: Mapping[str, str]) -> list[str]:
    """Return what does not agree between pages, texts by their names, and a repository's result files."""
    said: list[str] = []
    for name, text in pages.items():
        said += [f"{name}: {each}" for each in (*_figures(root, text), *_tables(root, text))]
        if name in PAGES:
            said += [f"{name}: a figure without a file: {each}" for each in _unmarked(text)]
    return said + list(_void(root))


def _figures(root: Path, text: str) -> Iterator[str]:
    for match in _FIGURE.finditer(text):
        file, key, stat, shown = match[1], match[2], (match[3] or ".median")[1:], match[4]
        figure = _content(root, file).get("figures", {}).get(key, {})
        if stat not in figure:
            yield f"there is no {stat} of {key} in {RESULTS / file}.json"
        elif not _agrees(shown, float(figure[stat])):
            yield f"{shown!r} is not the {stat} of {key} in {RESULTS / file}.json, {figure[stat]:g}"


def _tables(root: Path, text: str) -> Iterator[str]:
    for match in _TABLE.finditer(text):
        table = _content(root, match[2]).get("tables", {}).get(match[3])
        if table is None:
            yield f"there is no table {match[3]} in {RESULTS / match[2]}.json"
        elif table.strip() != match[4].strip():
            yield f"the table is not {match[3]} of {RESULTS / match[2]}.json"


def _unmarked(text: str) -> Iterator[str]:
    """Yield what looks measured and has no marker."""
    for pattern in (_FIGURE, _TABLE, _GIVEN, _CODE):
        text = pattern.sub(" ", text)
    for line in text.splitlines():
        for match in _MEASURED.finditer(line):
            yield f"{match[0]!r} in {line.strip()[:90]!r}"


def _void(root: Path) -> Iterator[str]:
    """Yield the files whose program was changed after it wrote them."""
    for path in sorted((root / RESULTS).glob("*.json")):
        for source, digest in _content(root, path.stem).get("sources", {}).items():
            file = root / source
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                changed = f"{RESULTS / path.name} is void: {source} was changed since."
                yield f"{changed} Measure again, or: python -m benchmarks.report keep {path.stem} REASON"


def _agrees(shown: str, value: float) -> bool:
    """Return whether a text shows a value, rounded to as many digits as it has."""
    found = _NUMBER.search(shown)
    if found is None:
        return False
    number = found[0].replace(",", "")
    digits = len(number.partition(".")[2])
    return abs(float(number) - value) <= (0.5 + 1e-9) * float(f"1e-{digits}")


def _content(root: Path, name: str) -> dict[str, Any]:
    path = root / RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def written(root: Path, text: str) -> str:
    """Return a page with its tables and figures taken from the files; a figure keeps its number of digits."""

    def table(match: re.Match[str]) -> str:
        found = _content(root, match[2]).get("tables", {}).get(match[3], match[4])
        return f"{match[1]}\n{found.strip()}\n\n{match[5]}"  # the blank lines are for Python-Markdown

    def figure(match: re.Match[str]) -> str:
        value = _content(root, match[1]).get("figures", {}).get(match[2], {}).get((match[3] or ".median")[1:])
        old = _NUMBER.search(match[4])
        if value is None or old is None or _agrees(match[4], value):
            return match[0]
        digits = len(old[0].partition(".")[2])
        new = match[4][: old.start()] + f"{value:,.{digits}f}" + match[4][old.end() :]
        return match[0].replace(f"-->{match[4]}<!--", f"-->{new}<!--")

    return _FIGURE.sub(figure, _TABLE.sub(table, text))


def main(arguments: list[str]) -> int:
    """Write the pages if asked to, and check them; return the exit status."""
    root = Path()
    paths = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
    if arguments == ["--write"]:
        for path in paths:
            path.write_text(written(root, path.read_text()))
    found = problems(root, {path.as_posix(): path.read_text() for path in paths})
    for each in found:
        print(each)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
