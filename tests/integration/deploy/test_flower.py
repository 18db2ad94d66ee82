"""Flower: what it shows, and what it must not be allowed to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.deploy.demo.client import Client
from stemline.deploy.flower.serve import readable
from tests.integration.test_stack import music, s3_for
from tests.processes import eventually


@pytest.fixture
def flower(where: dict[str, Any]) -> Iterator[httpx.Client]:
    """Flower's API, logged in."""
    login = (where["flower"]["user"], where["flower"]["password"])
    with httpx.Client(base_url=where["flower"]["url"], auth=login, trust_env=False) as client:
        yield client


CHANGES = (
    "/api/worker/shutdown/separate@local",
    "/api/worker/pool/restart/separate@local",
    "/api/worker/pool/grow/separate@local",
    "/api/worker/pool/shrink/separate@local",
    "/api/worker/pool/autoscale/separate@local?min=1&max=2",
    "/api/worker/queue/add-consumer/separate@local?queue=other",
    "/api/worker/queue/cancel-consumer/separate@local?queue=separate.0",
    "/api/task/apply/stemline.sweep",
    "/api/task/async-apply/stemline.sweep",
    "/api/task/send-task/stemline.sweep",
    "/api/task/abort/x",
    "/api/task/timeout/stemline.separate?workername=separate@local",
    "/api/task/rate-limit/stemline.separate?workername=separate@local&ratelimit=1",
    "/api/task/revoke/x?terminate=true",
)


@pytest.mark.parametrize("path", CHANGES)
def test_flower_changes_nothing(flower: httpx.Client, path: str) -> None:
    """Whoever has the login can neither run or revoke tasks nor change or stop workers."""
    assert 403 == flower.post(path).status_code


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks"])
def test_strangers_see_nothing(where: dict[str, Any], path: str) -> None:
    """Without the login every page and every list is closed."""
    answer = httpx.get(where["flower"]["url"] + path, trust_env=False)
    assert 401 == answer.status_code


@pytest.mark.parametrize("path", ["/metrics", "/healthcheck"])
def test_what_is_open_by_nature(where: dict[str, Any], path: str) -> None:
    """Metrics and the health check need no login, as docs/flower.md says."""
    assert 200 == httpx.get(where["flower"]["url"] + path, trust_env=False).status_code


def test_flower_sees_the_tasks_of_a_job(flower: httpx.Client, where: dict[str, Any]) -> None:
    """The events of all tasks arrive: who rang, and which job was done and how it ended."""
    names = ("secret_id", "secret_key", "region", "bucket")
    client = Client(where["api"], **{name: where[name] for name in names})
    s3_for(where).put_object(Bucket=where["bucket"], Key="in/flower.wav", Body=music())
    stems = {stem: f"flower/{stem}.wav" for stem in ("voice", "background")}
    job_id = client.submit("in/flower.wav", stems, codec="wav", callback="no")
    client.close()

    def done() -> dict[str, Any] | None:
        tasks = flower.get("/api/tasks", params={"taskname": "stemline.separate"}).json().values()
        return next((task for task in tasks if f"{job_id} Success" in str(task["result"])), None)

    task = eventually(done, 30, "the task's result in Flower")
    assert ("SUCCESS", "stemline.separate") == (task["state"], task["name"])
    assert job_id in task["args"]


@dataclass
class Task:
    args: str


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("['j0123456789abcdef0123456789abcdef', 2]", "job j0123456789abcdef0123456789abcdef, level 2"),
        ("('j0123456789abcdef0123456789abcdef', 0)", "job j0123456789abcdef0123456789abcdef, level 0"),
        ("['d0123456789abcdef0123456789abcdef']", "callback of job j0123456789abcdef0123456789abcdef"),
        ("[]", "[]"),
    ],
)
def test_arguments_are_told_in_words(args: str, words: str) -> None:
    """The list of tasks names job and level instead of a tuple."""
    assert words == readable(Task(args)).args


def test_flower_needs_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower is not started without a login."""
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    ran = CliRunner().invoke(main, ["flower"])
    assert 2 == ran.exit_code
    assert "never served without a login" in ran.output
