"""Flower: what it shows, and what it must not be allowed to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.client import Client
from stemline.client.target import target_of_stack
from stemline.jobs.store import WakeUp
from stemline.runtime import bootstrap
from stemline.runtime.bootstrap.celery_processes import FLOWER_CONNECTIONS
from stemline.runtime.settings import Settings
from stemline.testing.processes import eventually, program
from stemline.testing.receiver import answer, receiving
from stemline.workers.notifier import CeleryNotifier
from tests.conftest import ValkeyServer, free_port
from tests.integration.test_stack import music, s3_for


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
    """With the login one can neither run or revoke tasks, nor change or stop workers."""
    assert 403 == flower.post(path).status_code


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks"])
def test_nothing_is_shown_without_a_login(where: dict[str, Any], path: str) -> None:
    """Without the login every page and every list answers 401."""
    answer = httpx.get(where["flower"]["url"] + path, trust_env=False)
    assert 401 == answer.status_code


@pytest.mark.parametrize("login", [":", "é:x", "stemline:é", "stemline:", "\xff", "stemline"])
def test_a_wrong_login_is_refused(where: dict[str, Any], login: str) -> None:
    """Whatever a client sends as a login is answered 401 and breaks nothing; no site may frame a page."""
    encoded = b64encode(login.encode()).decode()
    answer = httpx.get(
        where["flower"]["url"] + "/tasks", headers={"Authorization": f"Basic {encoded}"}, trust_env=False
    )
    assert 401 == answer.status_code
    assert "frame-ancestors 'none'" == answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/metrics", "/healthcheck"])
def test_what_needs_no_login(where: dict[str, Any], path: str) -> None:
    """Metrics and the health check need no login, as docs/flower.md says."""
    assert 200 == httpx.get(where["flower"]["url"] + path, trust_env=False).status_code


@pytest.fixture
def client(where: dict[str, Any]) -> Iterator[Client]:
    """A client of the API."""
    with Client(target_of_stack(where)) as client:
        yield client


def task_in_state(flower: httpx.Client, uuid: str, state: str) -> dict[str, Any]:
    """A task as Flower shows it, once it is in a state."""

    def look() -> dict[str, Any] | None:
        task = flower.get("/api/tasks").json().get(uuid)
        return task if task and task["state"] == state else None

    task: dict[str, Any] = eventually(look, 180, f"{uuid} in state {state}")
    return task


STEMS = {stem: f"flower/{stem}.wav" for stem in ("voice", "background")}


def test_a_job_that_succeeds_is_a_success(
    flower: httpx.Client, where: dict[str, Any], client: Client
) -> None:
    """A job is one task, named by the job's id, with its source, its stems and its run time."""
    s3_for(where).put_object(Bucket=where["bucket"], Key="in/flower.wav", Body=music())
    job_id = client.submit("in/flower.wav", output=STEMS, callback="no").id
    task = task_in_state(flower, job_id, "SUCCESS")
    assert ("stemline.separate", "in/flower.wav, level 0") == (task["name"], task["args"])
    assert ("voice, background", None) == (task["result"], task["exception"])
    assert task["runtime"] > 0


def test_a_job_that_fails_is_a_failure(flower: httpx.Client, client: Client) -> None:
    """A job that ends Failed is a failure with its Code and Message, and without a traceback."""
    job_id = client.submit("in/missing.wav", output=STEMS, callback="no").id
    task = task_in_state(flower, job_id, "FAILURE")
    assert "JobFailed: ResourceNotFound: The input object does not exist. (NoSuchKey)" == task["exception"]
    assert not task["traceback"]


def test_deliveries_are_tasks_of_their_jobs(flower: httpx.Client, client: Client) -> None:
    """A delivered callback is a success, a failed attempt a retry; both belong to the task of their job."""
    with receiving(answer(204)) as healthy, receiving(answer(500)) as failing:
        for receiver, state, shown in ((healthy, "SUCCESS", "204"), (failing, "RETRY", "Postponed: 500")):
            job_id = client.submit("in/missing.wav", output=STEMS, callback=receiver.url).id
            task = task_in_state(flower, "d" + job_id[1:], state)
            assert ("stemline.deliver", "to 127.0.0.1", job_id) == (
                task["name"],
                task["args"],
                task["root_id"],
            )
            assert shown in {task["result"], task["exception"]}


def test_only_jobs_and_deliveries_are_tasks(
    flower: httpx.Client, where: dict[str, Any], client: Client
) -> None:
    """Sweeps, wake-ups that found nothing to do, and messages for delivered callbacks are not shown."""
    job_id = client.submit("in/missing.wav", output=STEMS, callback="no").id
    task_in_state(flower, job_id, "FAILURE")
    app = bootstrap.celery_app(Settings(redis_url=where["redis_url"]))
    notifier = CeleryNotifier(app)
    notifier.notify_workers([WakeUp(2, "")] * 3)
    notifier.deliver("d" + "0" * 32)
    with app.connection_for_read() as connection:
        redis = connection.default_channel.client
        eventually(lambda: not redis.llen("separate.2") + redis.llen("callbacks"), 180, "the messages")
    app.close()
    time.sleep(6)  # longer than the interval of sweeps
    for uuid, task in flower.get("/api/tasks").json().items():
        assert re.fullmatch("[jd][0-9a-f]{32}", uuid), task
        assert {"j": "stemline.separate", "d": "stemline.deliver"}[uuid[0]] == task["name"]


@pytest.mark.parametrize(
    "login", ["", ":", "user", "user:", ":password", "user:password,", "a:b,:", "ü:b", "a:ß"]
)
def test_flower_needs_a_login(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    """Flower is not started without a login, or with one whose variables were empty."""
    monkeypatch.setenv("FLOWER_BASIC_AUTH", login)
    ran = CliRunner().invoke(main, ["flower"])
    assert 2 == ran.exit_code
    assert "never served without a login" in ran.output


def test_flower_refuses_the_password_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that was copied from the example is known to everybody."""
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "operator:hush-hush,stemline:change-me")
    ran = CliRunner().invoke(main, ["flower"])
    assert (2, True) == (ran.exit_code, "change-me of the example; set your own" in ran.output)


@pytest.fixture
def own_flower(valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[int]:
    """The port of a Flower that a test may attack."""
    port = free_port()
    env = {"STEMLINE_REDIS_URL": valkey_server.url, "FLOWER_BASIC_AUTH": "user:password"}
    with program(tmp_path / "flower.log", env, "-m", "stemline", "flower", "--port", str(port)):

        def is_up() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/healthcheck", trust_env=False).is_success
            except httpx.TransportError:
                return False

        eventually(is_up, 180, "the health check")
        yield port


def ended(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection; reads what it has sent."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthcheck HTTP/1.1\r\n",
        b"GET /static/js/jquery-3.6.4.min.map HTTP/1.1\r\nHost: a\r\n\r\n" * 9,
    ],
    ids=["silent", "half a head", "unread answers"],
)
def test_flower_keeps_no_more_connections_than_its_limit(own_flower: int, sent: bytes) -> None:
    """Beyond the limit the connections that have waited longest end; new clients are served."""
    with ExitStack() as stack:
        opened = []
        for _ in range(FLOWER_CONNECTIONS + 44):
            opened.append(stack.enter_context(socket.create_connection(("127.0.0.1", own_flower))))
            opened[-1].sendall(sent)
        answer = httpx.get(f"http://127.0.0.1:{own_flower}/healthcheck", trust_env=False)
        assert "OK" == answer.text
        eventually(lambda: sum(map(ended, opened)) >= 44, 180, "the end of connections")


def test_metrics_of_flower_are_rendered_once_a_second(own_flower: int) -> None:
    """Requests that come together get the same page, which counts open descriptors; later ones another."""
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{own_flower}", trust_env=False) as client,
        ExitStack() as stack,
    ):

        def page() -> str:
            answer = client.get("/metrics")
            assert "process_open_fds" in answer.text
            return answer.text

        def pages() -> tuple[str, str]:
            """Two pages, between which a connection was opened."""
            first = page()
            stack.enter_context(socket.create_connection(("127.0.0.1", own_flower)))
            assert client.get("/healthcheck").is_success
            return first, page()

        eventually(lambda: len(set(pages())) == 1, 180, "a page that is served twice")
        before = page()
        stack.enter_context(socket.create_connection(("127.0.0.1", own_flower)))
        eventually(lambda: page() != before, 180, "a new page")


def test_probes_need_not_know_the_url_prefix(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    """With FLOWER_URL_PREFIX the health check answers with and without it, and `stemline health` passes."""
    port = free_port()
    env = {
        "STEMLINE_REDIS_URL": valkey_server.url,
        "FLOWER_BASIC_AUTH": "user:password",
        "FLOWER_URL_PREFIX": "behind/proxy",
    }
    with program(tmp_path / "flower.log", env, "-m", "stemline", "flower", "--port", str(port)):

        def status(path: str) -> int:
            try:
                return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code
            except httpx.TransportError:
                return 0

        eventually(lambda: 200 == status("/healthcheck"), 180, "the health check")
        assert 200 == status("/behind/proxy/healthcheck")
        assert 401 == status("/behind/proxy/workers")
        command = [sys.executable, "-m", "stemline", "health", "flower", "--port", str(port)]
        done = subprocess.run(command, env={**os.environ, **env}, timeout=180, check=False)
        assert 0 == done.returncode
