"""All log lines of a process have one form, and no secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.logging import configure, signal_safe_writer
from stemline.runtime.redaction import MASK
from stemline.runtime.settings import Settings


@pytest.fixture
def lines() -> Iterator[Callable[..., Callable[[], list[dict[str, Any]]]]]:
    """Configures logging into a buffer; afterwards everything is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    out = io.StringIO()

    def read(
        credentials: CredentialFiles | None = None, **settings: Any
    ) -> Callable[[], list[dict[str, Any]]]:
        configure(Settings(**settings), credentials, stream=out)
        return lambda: [json.loads(line) for line in out.getvalue().splitlines()]

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_all_lines_have_one_form(lines):
    """Lines of ours, of libraries and of exceptions are one JSON object each, with secrets masked."""
    read = lines(redis_url=SecretStr("redis://:valkey-password@127.0.0.1/0"))
    with structlog.contextvars.bound_contextvars(job="j1"):
        structlog.get_logger().info("step.done", took_s=1)
        logging.getLogger("celery.worker").warning("lost %s", "redis://:valkey-password@127.0.0.1/0")
        try:
            int("valkey-password")
        except ValueError:
            structlog.get_logger().exception("step.crashed")
    ours, theirs, crash = read()
    assert ("step.done", "info", "j1", 1) == (ours["event"], ours["level"], ours["job"], ours["took_s"])
    assert ours["timestamp"].endswith("Z")
    assert (f"lost redis://{MASK}@127.0.0.1/0", "warning", "j1") == (
        theirs["event"],
        theirs["level"],
        theirs["job"],
    )
    assert "celery.worker" == theirs["logger"]
    assert f"base 10: '{MASK}'" in crash["exception"]


def test_the_level_applies_to_all_lines(lines):
    """Below the level of the settings neither our lines nor those of libraries are written."""
    read = lines(log_level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("celery.worker").info("quiet")
    structlog.get_logger().warning("loud")
    assert ["loud"] == [line["event"] for line in read()]


def test_whole_requests_are_never_logged(lines):
    """Even at debug libraries that log whole requests and signatures are silent below warning."""
    read = lines(log_level="debug")
    for name in ("botocore.auth", "urllib3.connectionpool", "s3transfer", "amqp"):
        logging.getLogger(name).debug("Signature: %s", "0123")
    assert [] == read()


def test_a_rotated_secret_is_masked(lines, tmp_path, monkeypatch):
    """A secret that is rotated in while the process runs is masked, and the old one still is."""
    from stemline.runtime import credentials

    monkeypatch.setattr(credentials, "CHECK_INTERVAL_S", 0.0)
    file = tmp_path / "credentials.json"

    def write(secret: str) -> None:
        file.write_text(json.dumps([{"secret_id": "id", "secret_key": secret}]))

    write("first-secret")
    read = lines(credentials_file=file)
    structlog.get_logger().info("step.done", reason="first-secret and the-next-secret")
    write("the-next-secret")
    structlog.get_logger().info("step.done", reason="first-secret and the-next-secret")
    logging.getLogger("celery.worker").warning("the-next-secret")
    before, reloaded, after, library = read()
    assert f"{MASK} and the-next-secret" == before["reason"]
    assert ("credentials.reloaded", str(file)) == (reloaded["event"], reloaded["path"])
    assert f"{MASK} and {MASK}" == after["reason"]
    assert MASK == library["event"]


def test_lines_of_signal_handlers_have_the_same_form(capfd):
    """What a signal handler writes is a JSON line like the others, or text where lines are text."""
    signal_safe_writer(Settings())("stopping\n")
    signal_safe_writer(Settings(log_format="console"))("stopping\n")
    as_json, as_text = capfd.readouterr().err.splitlines()
    assert ("stopping", "info") == (json.loads(as_json)["event"], json.loads(as_json)["level"])
    assert as_text.endswith("[info     ] stopping")
