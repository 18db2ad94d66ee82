"""Each kind of process is built without a server to connect to, and loads only what it uses."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest

from stemline.api.metrics import ApiMetrics
from stemline.runtime.bootstrap import api_process
from stemline.runtime.settings import Settings

#: Packages that are slow to import, or missing where a process of another kind is installed.
HEAVY = {
    "av",
    "boto3",
    "celery",
    "starlette",
    "flower",
    "lameenc",
    "onnx",
    "onnxruntime",
    "opentelemetry.exporter",
    "uvicorn",
}

SCRIPT = """
import json, sys
from stemline.runtime import bootstrap
from stemline.runtime.settings import Settings
bucket = {{"endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b"}}
bootstrap.{process}(Settings(buckets={{"*": bucket}}))
print(json.dumps(sorted(set(sys.modules) & set(json.loads(sys.argv[1])))))
"""

#: What most commands need, but not the list of commands.
LIGHT = {"opentelemetry", "pydantic", "redis", "structlog"}


def loaded(*command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=180, check=True, env={"PATH": ""}
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ("api", {"boto3", "celery", "starlette"}),
        ("beat", {"celery"}),
        ("celery_app", {"celery"}),
        ("callback_worker", {"boto3", "celery"}),
        # The engine is loaded by the children of the pool, never before the fork.
        ("separation_worker", {"boto3", "celery"}),
    ],
)
def test_a_process_loads_only_what_it_uses(process, expected):
    """Building a process imports none of the heavy packages that another kind of process needs."""
    assert expected == loaded("-c", SCRIPT.format(process=process), json.dumps(sorted(HEAVY)))


def test_help_loads_nothing_heavy():
    """`stemline --help` imports neither settings nor telemetry, so it answers at once."""
    script = """
import json, sys
from stemline.cli.main import main
main(["--help"], standalone_mode=False)
print(json.dumps(sorted(set(sys.modules) & set(json.loads(sys.argv[1])))))
"""
    assert set() == loaded(
        "-c", script, json.dumps([*HEAVY, "pydantic", "opentelemetry", "redis", "structlog"])
    )


def test_the_garbage_collector_leaves_out_what_the_start_of_an_api_process_made(monkeypatch):
    """A full collection of it would hold every request and event for a fifth of a second."""
    calls: list[str] = []
    for place, name in (
        (api_process, "configure_logging"),
        (api_process, "api"),
        (gc, "collect"),
        (gc, "freeze"),
    ):
        monkeypatch.setattr(place, name, lambda *_, name=name, **__: calls.append(name))

    api_process._only_api_process(Settings(), ApiMetrics())

    assert calls == ["configure_logging", "api", "collect", "freeze"]
