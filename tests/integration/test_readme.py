"""The links of the README and the docs, and how the README begins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in _FENCE.findall(page.read_text()) if kind == language]


def test_the_readme_opens_with_the_two_commands() -> None:
    """The first commands in the README are make demo and make test."""
    first = blocks(REPOSITORY / "README.md", "sh")[0]
    assert ["make demo", "make test"] == [line.split("#")[0].strip() for line in first.splitlines()]


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    """No page links to a file or a heading that is not there."""
    dead = []
    for link, anchor in _LINK.findall(page.read_text()):
        target = page.parent / link if link else page
        if not target.exists() or (anchor and anchor[1:] not in headings(target)):
            dead.append(link + anchor)
    assert [] == dead


def test_every_page_is_in_an_index() -> None:
    """docs/README.md links to every page, directly or through another index."""
    indexes = sorted((REPOSITORY / "docs").glob("**/README.md"))
    listed = {
        (index.parent / link).resolve() for index in indexes for link, _ in _LINK.findall(index.read_text())
    }
    assert set() == set((REPOSITORY / "docs").glob("**/*.md")) - listed - {REPOSITORY / "docs" / "README.md"}
