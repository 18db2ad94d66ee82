"""``stemline store`` against a real Valkey."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.jobs.store import migrations
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.migrations import Migration, Phase


def migrate(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["store", "migrate", *words])
    return result.exit_code, result.output.strip()


def test_migrate(valkey, valkey_server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The phases of a rollout are listed, applied once and in order; a phase must be given."""
    monkeypatch.setenv("STEMLINE_REDIS_URL", valkey_server.url)
    assert (0, "nothing to do") == migrate("--pre")
    used: list[Connection] = []
    known = (
        Migration("2-index", Phase.PRE, "adds an index", used.append),
        Migration("2-records", Phase.POST, "converts records", used.append),
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", known)
    assert 2 == migrate()[0]
    code, said = migrate("--post")
    assert 1 == code
    assert "Migrations of the phase pre are pending" in said
    assert (0, "pending: 2-index: adds an index") == migrate("--pre", "--dry-run")
    assert not used
    assert (0, "applied: 2-index: adds an index") == migrate("--pre")
    assert (0, "nothing to do") == migrate("--pre", "--dry-run")
    assert (0, "applied: 2-records: converts records") == migrate("--post")
    assert 2 == len(used)
