"""A mistake in the settings is reported at the start, without any secret."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from stemline.cli.main import main
from stemline.runtime.settings import Settings, groups_by_name
from stemline.runtime.settings.page import page
from tests.conftest import REPOSITORY


def test_an_unknown_variable_is_refused_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable stops the start and names the one that was meant."""
    monkeypatch.setenv("STEMLINE_LEASES_S", "5")
    with pytest.raises(
        ValidationError, match=r"STEMLINE_LEASES_S is not a setting; did you mean STEMLINE_LEASE_S\?"
    ):
        Settings()


def test_a_variable_of_the_build_may_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has asked for compiled networks at the installation can run the service in the same shell."""
    monkeypatch.setenv("STEMLINE_NATIVE", "require")
    assert Settings().engine.kernels == "auto"


def test_the_command_reports_invalid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line reports invalid settings one per line, by name, and ends with an error."""
    monkeypatch.setenv("STEMLINE_LEASE_S", "-1")
    monkeypatch.setenv("STEMLINE_DEVICE", "gpu")
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 1 == ran.exit_code
    assert "STEMLINE_LEASE_S: Input should be greater than 0" in ran.output
    assert "STEMLINE_DEVICE: Input should be 'auto'" in ran.output


@pytest.mark.parametrize("value", ['[{"secret_id": "AKIDx", "secret_key": ["hush-hush"]}]', '[{"hush-hush"'])
def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Neither the error nor the command repeats a credential that could not be read."""
    monkeypatch.setenv("STEMLINE_CREDENTIALS", value)
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 1 == ran.exit_code
    assert "STEMLINE_CREDENTIALS" in ran.output or '"credentials"' in ran.output
    assert "hush-hush" not in ran.output
    with pytest.raises(ValueError, match="redentials") as refused:
        Settings()
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:hush/hush@valkey:6379/0"),
        ("REDIS_URL", "redis://:hush@valkey:port/0"),
        ("BROKER_URL", "http://hush@valkey/"),
        ("REDIS_URL", "hush"),
        ("OTLP_ENDPOINT", "collector:4318"),
        ("CALLBACK_PROXY", "socks5://hush@proxy:1080"),
    ],
)
def test_an_invalid_url_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A URL that cannot be used is reported at the start, by name and without its password."""
    monkeypatch.setenv(f"STEMLINE_{name}", value)
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 1 == ran.exit_code
    assert f"STEMLINE_{name}: this is not a " in ran.output
    assert "hush" not in ran.output


EXAMPLES = [
    ("REDIS_URL", "redis://:change-me@127.0.0.1:6379/0"),
    ("BROKER_URL", "rediss://user:change%2Dme@127.0.0.1:6379/0"),
    ("REDIS_URL", "sentinel://:mine@h:26379/0?master=m&sentinel_password=change-me"),
    ("CREDENTIALS", '[{"secret_id": "AKIDx", "secret_key": "change-me"}]'),
    ("BUCKETS", '{"b-1": {"endpoint_url": "http://s3", "access_key": "a", "secret_key": "change-me"}}'),
    ("METRICS_TOKEN", "change-me"),
    ("SECRET_KEY", "change-me"),
]


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_the_secret_of_the_examples_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Whoever copies an example and leaves a secret as it is does not start with one that everybody knows."""
    monkeypatch.setenv(f"STEMLINE_{name}", value)
    ran = CliRunner().invoke(main, ["settings", "--check"])
    assert 1 == ran.exit_code
    assert f"STEMLINE_{name}: a secret is still change-me, as in the example; set your own" in ran.output
    monkeypatch.setenv(
        f"STEMLINE_{name}", value.replace("change", "hush").replace("me", "then-change-me-soon")
    )
    assert "change-me, as in" not in CliRunner().invoke(main, ["settings", "--check"]).output


def test_the_settings_page_is_up_to_date() -> None:
    """docs/settings.md is what `make docs` would write."""
    assert page() == (REPOSITORY / "docs" / "settings.md").read_text()


def test_every_setting_is_described() -> None:
    """No setting lacks a description."""
    fields = [
        (name, field) for group in groups_by_name().values() for name, field in group.model_fields.items()
    ]
    assert 60 < len(fields)
    assert [] == [name for name, field in fields if not field.description]


@pytest.mark.parametrize(
    ("name", "value"),
    [("CALLBACK_ALLOW_NETWORKS", '["10.0.0.0/33"]'), ("CALLBACK_SCHEDULE_S", "[]")],
)
def test_invalid_callback_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Invalid networks and an empty schedule stop the start instead of every callback."""
    monkeypatch.setenv(f"STEMLINE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
