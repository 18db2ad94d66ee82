"""A value behind the name of a setting, as in `STEMLINE_LEASE_S` (20 s), is the setting's default."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from stemline.runtime.settings.page import rows
from tests.paths import REPOSITORY

UNITS = {
    "": 1, "s": 1, "min": 60, "hours": 3600, "days": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_VALUE = re.compile(
    r"`(STEMLINE_\w+)`(?: (?:rows|bytes|batches))?(?:, | \()"
    r"(\d[\d,]*(?:\.\d+)?)(?: (s|min|hours|days|[KMG]iB))?"
    r"(?=[,)] | per second|\)|,? \|)"
)
_MARKS = re.compile(r"<!-- /?(?:not measured|figure[^>]*) -->")


def stated() -> Iterator[tuple[str, str, str, str]]:
    """Yield page, setting, number and unit of each value that a page gives."""
    for path in sorted((REPOSITORY / "docs").glob("*.md")):
        for match in _VALUE.finditer(_MARKS.sub("", path.read_text())):
            yield path.name, match[1], match[2], match[3] or ""


STATED = list(stated())


def test_pages_name_defaults() -> None:
    """The pages have such values, several of them of sizes and of times."""
    assert len(STATED) > 15
    assert {"s", "GiB", ""} <= {unit for *_, unit in STATED}


@pytest.mark.parametrize(("page", "name", "number", "unit"), STATED)
def test_a_value_behind_a_setting_is_its_default(page: str, name: str, number: str, unit: str) -> None:
    """A default that is changed must be changed where the pages state it, too."""
    defaults = {variable: default for _group, variable, default, _effect in rows()}
    default = defaults[name]
    per_unit = 1 if name.endswith(("_HOURS", "_DAYS")) else UNITS[unit]
    assert float(default) == float(number.replace(",", "")) * per_unit, f"{page}: {name}"
