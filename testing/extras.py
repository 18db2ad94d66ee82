"""Errors for modules whose packages are not installed."""

from __future__ import annotations


class ExtraMissing(ImportError):
    """A module of this package needs an extra of ``stemline`` that is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        """Name the module and the extra it needs."""
        super().__init__(f"{module} needs the extra {extra}: install stemline[{extra}]", name=module)
