"""The badges of the README say what the repository's own files say."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.paths import REPOSITORY
from tools.docs import badges


def test_the_badges_are_what_make_docs_would_draw() -> None:
    """Each badge has the value that its file has now; no other badge is kept."""
    kept = {path.name: path.read_text() for path in badges.FOLDER.glob("*.svg")}
    assert badges.badges() == kept


def test_the_readme_shows_them_from_the_repository() -> None:
    """The README shows every badge, and no image of another server."""
    readme = (REPOSITORY / "README.md").read_text()
    for name in badges.badges():
        assert f"](docs/images/badges/{name})" in readme
    assert "](http" not in "".join(line for line in readme.splitlines() if line.startswith("!"))


@pytest.mark.parametrize(
    ("requirement", "shown"), [(">=3.11,<3.14", "3.11 | 3.12 | 3.13"), (">=3.12,<3.13", "3.12")]
)
def test_pythons(requirement: str, shown: str) -> None:
    """A range of versions is shown version by version."""
    assert shown == badges.pythons(requirement)


def test_a_badge_is_svg_whatever_its_text() -> None:
    """Characters that SVG reserves are escaped."""
    drawn = etree.fromstring(badges.draw("a & b", "<1>", "#000"))
    assert "a & b: <1>" == drawn.get("aria-label")
