"""The coverage and error pages are complete and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stemline.api.app import RESOURCES
from stemline.api.openapi import OPERATIONS, document
from stemline.wire.errors import ANSWERS, FAILURES

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "wire-coverage.md").read_text()
ERRORS = (REPOSITORY / "docs" / "errors.md").read_text()
DOCUMENT = document([route for router in RESOURCES for route in router.routes])


def rows() -> list[list[str]]:
    """The cells of every row but the headings."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "Shown by"]


def first_cells() -> str:
    return " ".join(row[0] for row in rows())


def test_words() -> None:
    """The second cell of each row is one of four words."""
    assert {"yes", "more", "ignored", "no"} == {row[1] for row in rows() if len(row) == 4}


def test_operations() -> None:
    """Every operation of the wire that the description has is on the page, and the other way round."""
    served = {
        f"{method.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if operation["operationId"] in OPERATIONS
    }
    assert served == set(re.findall(r"`((?:GET|POST|PUT|DELETE) [^`]+)`", first_cells()))


def test_fields() -> None:
    """Every field and parameter of the description is on the page."""
    on_page = set(re.findall(r"`([A-Za-z0-9-]+)`", first_cells()))
    described = set(names(DOCUMENT["components"]["schemas"])) | {
        parameter["name"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] != "path" and operation["operationId"] in OPERATIONS
    }
    answers = names(DOCUMENT["paths"])
    assert sorted((described | set(answers)) - on_page - {"Resource", "TraceId"}) == []


def names(schema: Any) -> Iterator[str]:
    """The names of all properties, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from names(part)


@pytest.mark.parametrize("code", sorted({code for code, _ in ANSWERS.values()} | set(FAILURES.values())))
def test_error_page(code: str) -> None:
    """Every code is on the error page with every status it comes with."""
    lines = [line for line in ERRORS.splitlines() if line.startswith(f"| `{code}` |")]
    statuses = {str(status) for known, status in ANSWERS.values() if known == code}
    assert lines
    assert statuses <= set(re.findall(r"\b[45]\d\d\b", " ".join(line.split("|")[2] for line in lines)))
