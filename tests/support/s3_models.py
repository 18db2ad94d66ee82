"""botocore's description of S3, which each session would read again: a quarter of a second of parsing."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader


def read_once() -> None:
    """Let all sessions of this process share what was read from botocore's files."""
    read = JSONFileLoader.load_file

    @functools.cache
    def shared(path: str) -> Any:
        return read(JSONFileLoader(), path)

    pytest.MonkeyPatch().setattr(JSONFileLoader, "load_file", lambda _, path: shared(path))
