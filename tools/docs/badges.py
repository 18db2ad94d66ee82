"""Draw the badges of the README from what the repository itself says: ``python -m tools.docs.badges``.

Each value is read from the file that decides it, so a badge cannot say more than is checked.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "docs" / "images" / "badges"
_CHAR_PX = 6.6
_PADDING_PX = 12
_GREEN, _BLUE = "#2e7d32", "#1565c0"


def badges() -> dict[str, str]:
    """Return the drawing of each badge by the name of its file."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    drawn = {
        "version": ("version", version(), _BLUE),
        "python": ("Python", pythons(project["project"]["requires-python"]), _BLUE),
        "licence": ("licence", project["project"]["license"], _BLUE),
        "coverage": ("coverage of lines and branches", f"≥ {coverage_floor(project)} %", _GREEN),
        "types": ("types", "mypy, strict" if project["tool"]["mypy"]["strict"] else "mypy", _GREEN),
    }
    return {f"{name}.svg": draw(*parts) for name, parts in drawn.items()}


def version() -> str:
    """Return the version of the package."""
    text = (REPOSITORY / "src" / "stemline" / "__init__.py").read_text()
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(found)


def pythons(requirement: str) -> str:
    """Return the minor versions that a requirement such as ``>=3.11,<3.14`` admits."""
    lowest, above = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", requirement).groups())  # type: ignore[union-attr]
    return " | ".join(f"3.{minor}" for minor in range(lowest, above))


def coverage_floor(project: dict[str, Any]) -> int:
    """Return the coverage below which the tests fail, in percent."""
    return int(project["tool"]["coverage"]["report"]["fail_under"])


def draw(label: str, value: str, colour: str) -> str:
    """Return a badge as SVG."""
    left, right = (round(len(text) * _CHAR_PX) + _PADDING_PX for text in (label, value))
    label, value = escape(label), escape(value)
    font = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{label}: {value}">\n'
        f'<clipPath id="round"><rect width="{left + right}" height="20" rx="3"/></clipPath>\n'
        f'<g clip-path="url(#round)"><rect width="{left}" height="20" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>\n'
        f'<g {font}><text x="{left / 2:g}" y="14">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14">{value}</text></g>\n</svg>\n'
    )


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, drawing in badges().items():
        (FOLDER / name).write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
