"""``stemline doctor security`` and ``stemline settings --check``: settings that others could misuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.checks.findings import CheckContext, Finding, Verdict
from stemline.cli.checks.security import security
from stemline.cli.main import main
from stemline.runtime.settings import Settings

STORE = "redis://:hush-hush@127.0.0.1:6379/0"
KEY = {"secret_id": "AKIDEXAMPLE", "secret_key": "hush-0123456789-0123456789"}


def found(**changes: Any) -> list[Finding]:
    return list(security(CheckContext(Settings(**{"redis_url": STORE, "credentials": [KEY], **changes}))))


def test_the_defaults_are_safe() -> None:
    """With a store that has a password, nothing is found."""
    assert [Verdict.OK] == [finding.verdict for finding in found()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anonymous_access": True}, "without a signature"),
        ({"require_signed_host": False}, "need not cover Host"),
        ({"signature_max_span_s": 30 * 86400}, "valid for 30 days"),
        ({"rate_limit_per_s": 0}, "no rate limit"),
        ({"credentials": [{**KEY, "secret_key": "hush"}]}, "SecretKey of AKIDEXAMPLE is short"),
        ({"metrics_port": 9100, "metrics_host": "0.0.0.0"}, "everyone who reaches 0.0.0.0:9100"),
        ({"metrics_port": 9100, "metrics_host": "::"}, "everyone who reaches :::9100"),
        ({"max_connections_per_client": 0}, "a client may take all connections"),
        ({"redis_url": "redis://127.0.0.1/0"}, "the job store asks for no password"),
        ({"redis_url": "redis://:hush-hush@store.example/0"}, "the job store is reached without TLS"),
        ({"broker_url": "rediss://broker.example/0"}, "the broker asks for no password"),
        (
            {"tdmq_endpoints": {"gz": "amqp://u:hush@mq.example"}},
            "queue of gz is reached without TLS",
        ),
    ],
)
def test_each_fault_is_found(changes: dict[str, Any], message: str) -> None:
    """Each setting that others could misuse is named with what to do; no secret is shown."""
    warnings = [each for each in found(**changes) if each.verdict is Verdict.WARNING]
    assert any(message in each.message for each in warnings)
    assert all(each.fix and "hush" not in each.message + each.fix for each in warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics_port": 9100},
        {"metrics_port": 9100, "metrics_host": "0.0.0.0", "metrics_token": "hush-hush"},
        {"metrics_host": "0.0.0.0"},
        {"redis_url": "rediss://:hush-hush@store.example/0"},
    ],
)
def test_what_is_safe_is_not_found(changes: dict[str, Any]) -> None:
    """A port on loopback, with a token or turned off, and a server with TLS are as they should be."""
    assert [Verdict.OK] == [finding.verdict for finding in found(**changes)]


@pytest.mark.parametrize("name", ["credentials_file", "buckets_file", "tls_key", "redis_key"])
def test_a_file_of_secrets_that_everybody_may_read_is_found(tmp_path: Path, name: str) -> None:
    """A file of keys with the mode that editors give it is named with the cure; one for a group is not."""
    file = tmp_path / "of keys"
    file.write_text("[]")
    file.chmod(0o644)
    (finding,) = found(**{name: file})
    assert finding.message == f"every user of this machine may read {file} (STEMLINE_{name.upper()})"
    assert finding.fix == f"chmod o-rwx '{file}'"
    file.chmod(0o640)
    assert [Verdict.OK] == [finding.verdict for finding in found(**{name: file})]
    file.unlink()
    assert [Verdict.OK] == [finding.verdict for finding in found(**{name: file})]


def test_a_message_queue_on_the_store_is_an_error() -> None:
    """The endpoint of a message queue that is the job store's database stops the service."""
    (finding,) = [each for each in found(tdmq_endpoints={"gz": STORE}) if each.verdict is Verdict.ERROR]
    assert "the database of the job store" in finding.message


def test_the_check_of_settings_prints_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """``stemline settings --check`` succeeds with what could be misused as warnings."""
    monkeypatch.setenv("STEMLINE_ANONYMOUS_ACCESS", "true")
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 0 == ran.exit_code, ran.output
    assert "The settings are valid.\n" in ran.output
    assert "Warning: requests without a signature are served" in ran.output


@pytest.mark.parametrize("content", [None, "{}", '{"*": {}}'])
def test_the_check_of_settings_warns_of_missing_buckets(monkeypatch, tmp_path, content) -> None:
    """``stemline settings --check`` says that no separation worker starts with these settings."""
    if content is not None:
        file = tmp_path / "buckets.json"
        file.write_text(content)
        monkeypatch.setenv("STEMLINE_BUCKETS_FILE", str(file))
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 0 == ran.exit_code, ran.output
    assert ("Warning: no bucket is configured" in ran.output) == (content != '{"*": {}}')


def test_decoders_that_cannot_be_confined_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Landlock runs workers, and the finding says what that means."""
    monkeypatch.setattr("stemline.separation.confinement.missing", lambda: ["Landlock"])

    (finding,) = found()

    assert finding.verdict is Verdict.WARNING
    assert "decoded without Landlock" in finding.message
    assert "landlock_*" in finding.fix
