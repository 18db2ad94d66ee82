"""Who may sign, and what for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from stemline.api.credentials import Credentials
from stemline.jobs.errors import Forbidden
from stemline.runtime.settings import Credential, Settings


def test_scopes() -> None:
    """A credential is bound to its buckets, and a read-only one changes nothing."""
    entry = Credential(secret_id="a", secret_key="k", buckets=("x-1",), read_only=True)
    principal = Credentials(Settings(credentials=(entry,))).lookup("a")
    assert principal is not None
    principal.check(bucket="x-1", write=False)
    principal.check(bucket=None, write=False)
    for bucket, write in (("y-1", False), ("x-1", True)):
        with pytest.raises(Forbidden):
            principal.check(bucket=bucket, write=write)


def test_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys can be added to and taken from the file while the process runs; a broken file changes nothing."""
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps([{"secret_id": "a", "secret_key": "k"}]))
    credentials = Credentials(Settings(credentials_file=file))
    assert credentials.lookup("a") is not None
    file.write_text(json.dumps([{"secret_id": "bb", "secret_key": "k"}]))
    later = time.monotonic() + 10
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert (None, "bb") == (credentials.lookup("a"), getattr(credentials.lookup("bb"), "id", None))
    file.write_text("[{")
    monkeypatch.setattr(time, "monotonic", lambda: later + 10)
    assert credentials.lookup("bb") is not None


def test_broken_file_at_start(tmp_path: Path) -> None:
    """A file that cannot be read at the start is an error, not an empty list."""
    file = tmp_path / "credentials.json"
    file.write_text("nonsense")
    with pytest.raises(ValueError, match="JSON"):
        Credentials(Settings(credentials_file=file))


def test_secrets_stay_out_of_representations() -> None:
    """Printing the settings shows no SecretKey."""
    entry = Credential(secret_id="a", secret_key="hush-hush")
    assert "hush-hush" not in repr(Settings(credentials=(entry,)))
