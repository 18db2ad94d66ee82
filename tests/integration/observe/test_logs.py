"""What the processes write while a whole job goes through them, at the most talkative level."""

from __future__ import annotations

import json

import pytest

from stemline.testing.processes import eventually, program
from tests.conftest import free_port
from tests.integration.observe.conftest import SECRETS, answers


def lines(service, process: str) -> list[dict]:
    return [json.loads(line) for line in service.programs[process].text().splitlines()]


@pytest.mark.parametrize("process", ["api", "worker", "callbacks", "beat"])
def test_every_line_is_one_object(service, process):
    """Each line of each process, Celery's and uvicorn's included, is JSON with event, level and time."""
    written = lines(service, process)
    assert written
    for line in written:
        assert {"event", "level", "timestamp"} <= line.keys(), line


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_and_no_user_data(service, what):
    """No process writes a secret, a signature or what the client sent along, not even at debug."""
    assert {"api", "worker", "callbacks", "beat"} <= service.programs.keys()
    for name, process in service.programs.items():
        text = process.text()
        assert SECRETS[what] not in text, (
            next(t for t in text.splitlines() if SECRETS[what] in t)[:300] + name
        )


def test_a_worker_logs_which_job_each_step_belongs_to(service):
    """Each step has job, attempt, token and worker; the last has the duration of each stage."""
    job = service.jobs["success"]
    mine = {line["event"]: line for line in lines(service, "worker") if line.get("job") == job.id}
    assert {"attempt.started", "attempt.succeeded"} <= mine.keys()
    for line in mine.values():
        assert (job.attempt, job.token) == (line["attempt"], line["token"])
        assert line["worker"]
    assert {"decode", "infer", "encode"} <= mine["attempt.succeeded"]["stages"].keys()
    failed = [line for line in lines(service, "worker") if line.get("job") == service.jobs["failure"].id]
    assert "ResourceNotFound" in {line.get("code") for line in failed}


def test_the_api_logs_each_request(service):
    """A request is one line: id, tenant, operation, credential, status and time, or why it was refused."""
    answered = [line for line in lines(service, "api") if line["event"] == "request.answered"]
    submitted = [line for line in answered if line["operation"] == "create_jobs"]
    assert 2 == len(submitted)
    assert 2 == len({line["request_id"] for line in submitted})
    for line in submitted:
        assert (200, "POST", "/jobs") == (line["status"], line["method"], line["path"])
        assert "ap-chongqing/media-1250000000" == line["tenant"]
        assert line["credential"]
        assert line["ms"] > 0
    (refused,) = (line for line in answered if line["status"] == 403)
    assert ("AccessDenied", "get_jobs") == (refused["code"], refused["operation"])


def test_each_delivery_attempt_is_logged(service):
    """An attempt to deliver is one line with its job, its receiver's host and its outcome."""
    tries = [line for line in lines(service, "callbacks") if line["event"] == "callback.attempted"]
    mine = [line for line in tries if line["job"] == service.jobs["success"].id]
    assert [("503", "pending"), ("200", "delivered")] == [(t["status"], t["state"]) for t in mine]
    assert {"127.0.0.1"} == {line["host"] for line in mine}


def test_a_shutdown_is_logged_in_the_same_form(service, tmp_path):
    """What Celery prints while it shuts down is a line like all others."""
    log = tmp_path / "stopped.log"
    with program(log, service.env, "-m", "stemline", "worker", "callbacks") as worker:
        eventually(lambda: " ready." in worker.text(), 180, "the worker")
        assert 0 == worker.terminate()
    events = [json.loads(line)["event"] for line in worker.text().splitlines()]
    assert "worker: Warm shutdown (MainProcess)" in events


def test_flower_writes_the_same_form(service, tmp_path):
    """Flower writes lines like all others, and no login."""
    port = free_port()
    env = {**service.env, "FLOWER_BASIC_AUTH": "operator:LoginThatNobodyMayRead"}
    with program(tmp_path / "flower.log", env, "-m", "stemline", "flower", "--port", str(port)) as started:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), 180, "Flower")
        started.terminate()
    text = started.text()
    assert text
    for line in text.splitlines():
        assert {"event", "level", "timestamp"} <= json.loads(line).keys(), line
    assert "LoginThatNobodyMayRead" not in text
