"""A contract for import-linter: a package imports only what its row of the table in pyproject.toml names."""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "stemline"


class MayImport(Contract):
    """Direct imports of a package are the standard library, itself and what is allowed.

    import-linter's own contracts name what is forbidden, so they miss every package that is not listed.
    Imports within functions and under ``TYPE_CHECKING`` count too.

    Options:
        package: the package, or one module.
        apart_from: modules of it that have a contract of their own.
        may_import: packages of ours by their full name, third parties by the first part of theirs.
    """

    type_name = "may_import"

    package = fields.StringField()
    apart_from = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    may_import = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Collect the imports that no entry allows."""
        options: Any = self
        modules = _within(graph, options.package)
        for exception in options.apart_from or []:
            modules -= _within(graph, exception)
        allowed = [options.package, *(options.may_import or [])]
        violations = sorted(
            f"{module} imports {imported}"
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module)
            if not _is_allowed(imported, allowed)
        )
        output.verbose_print(verbose, f"{len(modules)} modules of {options.package}")
        return ContractCheck(kept=not violations, metadata={"violations": violations})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print them."""
        for violation in check.metadata["violations"]:
            output.print_error(violation)


def _within(graph: ImportGraph, name: str) -> set[str]:
    return {name, *graph.find_descendants(name)}


def _is_allowed(imported: str, allowed: list[str]) -> bool:
    first = imported.partition(".")[0]
    if first != ROOT:
        return first in sys.stdlib_module_names or first in allowed
    return any(imported == each or imported.startswith(f"{each}.") for each in allowed)
