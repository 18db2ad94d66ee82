"""Collect the pages of the site in ``build/site-source``: ``python -m tools.docs.stage``.

MkDocs and Zensical read one folder. It holds ``docs/``, the pages at the top of the repository, the results
of the benchmarks, and the references that are made from the code. Links between them are adapted;
a link to a file that is not part of the site becomes its text.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tools.docs import references

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET = REPOSITORY / "build" / "site-source"
TOP_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def write(folder: Path) -> None:
    """Write the pages into a folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = [
        *(REPOSITORY / name for name in TOP_PAGES),
        *(path for path in (REPOSITORY / "docs").rglob("*") if path.is_file()),
        *(
            path
            for path in (REPOSITORY / "benchmarks" / "results").iterdir()
            if path.suffix in {".md", ".svg"}
        ),
    ]
    for source in sources:
        place = place_of(source)
        assert place is not None, source  # noqa: S101 - the list above is of files that have a place
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(adapt(source.read_text(), source), encoding="utf-8")
        else:
            shutil.copyfile(source, target)
    (folder / "reference").mkdir()
    for name, text in references.pages().items():
        (folder / "reference" / name).write_text(text, encoding="utf-8")


def place_of(path: Path) -> Path | None:
    """Return where a file of the repository is in the site, relative to its root; None if it is not in it."""
    relative = path.relative_to(REPOSITORY)
    match relative.parts:
        case ("docs", *parts):
            return Path(*parts)
        case ("benchmarks", "results", name):
            return Path("results", name)
        case (name,) if name in TOP_PAGES:
            return Path(name)
        case ("README.md",):
            return Path("README.md")
        case _:
            return None


def adapt(text: str, page: Path) -> str:
    """Return the text of a page with its links leading to the places of the site.

    Args:
        text: Markdown.
        page: Its file in the repository.
    """
    place = place_of(page)
    assert place is not None, page  # noqa: S101 - only staged pages are adapted

    def link(match: re.Match[str]) -> str:
        mark, label, target, anchor = match.groups()
        label = _LINK.sub(link, label)
        file = Path(os.path.normpath(page.parent / target))
        if file.is_dir() and (file / "README.md").is_file():
            file /= "README.md"
        found = place_of(file) if file.is_relative_to(REPOSITORY) else None
        if found is None:
            if mark:
                raise ValueError(f"{page}: the image {target} is not part of the site")
            return label
        return f"{mark}[{label}]({os.path.relpath(found, place.parent)}{anchor or ''})"

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, _LINK.sub(link, text[end:])])


if __name__ == "__main__":
    write(TARGET)
