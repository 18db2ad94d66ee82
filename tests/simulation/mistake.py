"""A mistake that is planted in the product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from unittest.mock import patch

from stemline.jobs.store import scripts
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS
from tests.simulation.store import reload_scripts, scripts_of_the_store

ANY: Final = "any"
"""Instead of the name of a script: all that have the text."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change of the product."""

    name: str
    lua: Sequence[tuple[str, str, str]] = ()
    """Name of a script or :data:`ANY`, a text that it has, and what stands in its place."""
    python: Sequence[tuple[object, str, Any]] = ()
    """An object, one of its attributes, and what stands in its place."""
    unconfirmed: str = ""
    """A script whose changes are not confirmed."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the product make the mistake.

        Raises:
            LookupError: A script does not have the text: the mistake cannot be planted any more.
        """
        original = scripts.source.__wrapped__
        missing = {before for _, before, _ in self.lua}

        @cache
        def source(name: str) -> str:
            text: str = original(name)
            for script, before, after in self.lua:
                if script in {name, ANY} and before in text:
                    missing.discard(before)
                    text = text.replace(before, after)
            return text

        with ExitStack() as stack:
            if self.lua:
                stack.enter_context(patch.object(scripts, "source", source))
                stack.enter_context(patch("tests.simulation.store.source", source))
                for path in scripts_of_the_store():
                    source(path)
                if missing:
                    raise LookupError(f"no script has {missing}")
            if self.unconfirmed:
                fewer = CONFIRMED_SCRIPTS - {self.unconfirmed}
                stack.enter_context(patch.object(scripts, "CONFIRMED_SCRIPTS", fewer))
            for owner, name, value in self.python:
                if not hasattr(owner, name):
                    raise LookupError(f"{owner} has no {name}")
                stack.enter_context(patch.object(owner, name, value))
            reload_scripts()
            try:
                yield
            finally:
                reload_scripts()
