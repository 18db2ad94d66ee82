"""All log lines of a process have one form, and no secrets."""

from __future__ import annotations

import io
import json
import logging
import re
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
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Callable[[], list[dict[str, Any]]]]]:
    """Configures logging into a buffer; afterwards everything is as it was."""
    for name in ("uvicorn", "uvicorn.error", "celery.worker"):  # whatever another test has set
        for attribute, value in {"propagate": True, "disabled": False, "handlers": []}.items():
            monkeypatch.setattr(logging.getLogger(name), attribute, value)
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


UNSAFE = [
    *map(
        chr, [*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x180E, 0xFEFF, 0xD800, 0xDFFF, 0xE0001, 0xE0020]
    ),
    *map(chr, [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)]),
]
"""What a terminal obeys, or shows in another order."""


def _log_everywhere(text: str) -> None:
    """Write a text in each place of a line: message, value, within a value, exception, a library's line."""
    log = structlog.get_logger()
    event = "step" + text
    log.info(event)
    log.info(
        "step.done",
        path=f"/a{text}b",
        quoted=f"a b{text}='",
        listed=[text, {text: text}],
        raw=text.encode("utf-8", "surrogatepass"),
    )
    log.error("step.crashed", reason=text, exc_info=ValueError(text))
    logging.getLogger("uvicorn.error").warning("GET /%s", text)
    logging.getLogger("celery.worker").error("lost %s", text, exc_info=ValueError(text))
    logging.getLogger("py.warnings").warning("%s", text)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_line_has_what_a_terminal_obeys(lines, log_format):
    """Whatever a client, a store or a file sends, no line moves the cursor or ends before its end."""
    lines()  # everything is put back afterwards
    out = io.StringIO()
    configure(Settings(log_format=log_format), stream=out)
    for character in UNSAFE:
        _log_everywhere(character)
    text = out.getvalue()
    # Only a traceback has lines, and perhaps tabs.
    assert set(text) & set(UNSAFE) <= {"\n", "\t"}
    if log_format == "json":
        written = [json.loads(line) for line in text.splitlines()]
        assert [f"/a{each}b" for each in UNSAFE] == [line["path"] for line in written if "path" in line]
    else:
        stamped = re.compile(r"\d{4}-\d\d-\d\dT")
        assert len([line for line in text.split("\n") if stamped.match(line)]) == 6 * len(UNSAFE)


def test_colours_are_the_only_escapes_of_a_terminal(lines, monkeypatch):
    """On a terminal the renderer's own colours remain, and nothing that a client chose."""
    lines()  # everything is put back afterwards
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    configure(Settings(log_format="console"), stream=out)
    structlog.get_logger().info("step.done", path="/\x1b]0;OWNED\x07\x9b2J")
    assert re.fullmatch(r"[^\x1b\x07\x9b]*", re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()))
    assert r"/\u001b]0;OWNED\u0007\u009b2J" in out.getvalue()
