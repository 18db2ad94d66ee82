"""The permissions of each credential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemline.api.credentials import Principals
from stemline.jobs.errors import Forbidden
from stemline.jobs.policy import Operation
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.errors import UnreadableFile
from stemline.runtime.settings import Credential, Settings


def principals(**settings: Any) -> Principals:
    configured = Settings(**settings)
    return Principals(CredentialFiles.of(configured).key_pairs, configured)


def test_scopes() -> None:
    """A credential is bound to its buckets, and a read-only one changes nothing."""
    entry = Credential(secret_id="a", secret_key="k", buckets=("x-1",), read_only=True)
    principal = principals(credentials=(entry,)).lookup("a")
    assert principal is not None
    principal.policy.check(Operation.READ, bucket="x-1", region="r")
    principal.policy.check(Operation.READ, bucket=None, region="r")
    for bucket, operation in (("y-1", Operation.READ), ("x-1", Operation.SUBMIT)):
        with pytest.raises(Forbidden):
            principal.policy.check(operation, bucket=bucket, region="r")


def test_broken_file_at_start(tmp_path: Path) -> None:
    """A file that cannot be read at the start is an error, not an empty list."""
    file = tmp_path / "credentials.json"
    file.write_text("nonsense")
    with pytest.raises(UnreadableFile, match="JSON"):
        principals(credentials_file=file)


def test_secrets_stay_out_of_representations() -> None:
    """Printing the settings shows no SecretKey."""
    entry = Credential(secret_id="a", secret_key="hush-hush")
    assert "hush-hush" not in repr(Settings(credentials=(entry,)))


def test_principals_follow_their_file(tmp_path: Path) -> None:
    """A principal is made once for each reading of the file, and never outlives its entry."""
    file = tmp_path / "credentials.json"
    file.write_text('[{"secret_id": "a", "secret_key": "first"}, {"secret_id": "b", "secret_key": "k"}]')
    configured = Settings(credentials_file=file)
    now = [0.0]
    key_pairs = CredentialFiles.of(configured).key_pairs
    key_pairs._clock = lambda: now[0]
    known = Principals(key_pairs, configured)
    first = known.lookup("a")
    assert first is not None
    assert first is known.lookup("a")
    assert known.lookup("b") is not None
    file.write_text('[{"secret_id": "a", "secret_key": "a second one"}]')
    now[0] += 60
    second = known.lookup("a")
    assert second is not None
    assert "a second one" == second.secret
    assert known.lookup("b") is None
