"""Where the tests find files of the repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

#: Requests of the vendor's SDKs, byte for byte; INDEX.md describes them.
RECORDINGS = REPOSITORY / "tests" / "data" / "recordings"

#: The wire specification.
SPECIFICATION = REPOSITORY / "docs" / "wire" / "wire.md"
