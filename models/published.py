"""Published files: what they must be, before they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One published file: name, SHA-256 and size in bytes (None where it is not known)."""

    name: str
    sha256: str | None
    size: int | None


class Published(Protocol):
    """A model by its name, and the files without which it cannot be read."""

    @property
    def name(self) -> str:
        """Return the name of the model, and of its folder."""

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """Return the files in its folder."""
