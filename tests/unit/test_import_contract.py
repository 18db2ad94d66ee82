"""The table of allowed imports covers every package, and notices an import that it does not name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from grimp import ImportGraph

from tests.import_contract import MayImport

REPOSITORY = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def violations(**options: Any) -> list[str]:
    graph = ImportGraph()
    for module in ("stemline.jobs", "stemline.jobs.job", "stemline.wire", "stemline.wire.codec"):
        graph.add_module(module)
    for external in ("lxml", "json"):
        graph.add_module(external, is_squashed=True)
    graph.add_import(importer="stemline.wire.codec", imported="stemline.jobs.job")
    graph.add_import(importer="stemline.wire.codec", imported="lxml")
    graph.add_import(importer="stemline.wire", imported="stemline.wire.codec")
    graph.add_import(importer="stemline.jobs.job", imported="json")
    contract = MayImport(name="test", session_options={}, contract_options=options)
    return contract.check(graph, verbose=False).metadata["violations"]


def test_what_is_named_is_allowed():
    """Named packages, the package itself and the standard library may be imported."""
    assert [] == violations(package="stemline.wire", may_import=["stemline.jobs", "lxml"])
    assert [] == violations(package="stemline.jobs", may_import=[])


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["stemline.jobs"], ["stemline.wire.codec imports lxml"]),
        (["lxml"], ["stemline.wire.codec imports stemline.jobs.job"]),
        (["lxml", "stemline.job"], ["stemline.wire.codec imports stemline.jobs.job"]),
    ],
)
def test_what_is_not_named_is_a_violation(allowed, expected):
    """An import of ours or of a third party that no entry names breaks the contract."""
    assert expected == violations(package="stemline.wire", may_import=allowed)


def test_exceptions_have_contracts_of_their_own():
    """A module that is left out of its package's contract is not checked by it."""
    assert [] == violations(package="stemline.wire", apart_from=["stemline.wire.codec"], may_import=[])


def test_every_package_and_exception_has_a_row():
    """No package of the repository, and no exception of a row, is without a row."""
    rows = {each["package"] for each in CONTRACTS if each["type"] == "may_import"}
    packages = {
        f"stemline.{link.name}" for link in (REPOSITORY / "src/stemline").iterdir() if link.is_symlink()
    }
    exceptions = {name for each in CONTRACTS for name in each.get("apart_from", [])}
    assert packages | exceptions == rows
