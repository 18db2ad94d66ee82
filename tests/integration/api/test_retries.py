"""Retries of jobs, and callbacks of any state, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stemline.testing.api_server import TENANT, finish
from stemline.testing.client import Client, submission

JSON = {"Accept": "application/json"}
CALLBACK = "<CallBack>http://receiver.example/x</CallBack>"


def submit(client: Client) -> str:
    return client.post("/jobs", submission(request=CALLBACK, operation="<UserData>u</UserData>")).text(
        "JobsDetail/JobId"
    )


def fail(server: Any) -> str:
    job = submit(server.client)
    server.store.attempts.fail(server.store.attempts.claim("w", [0]), "AudioDamaged", "It is.")
    return job


def ask(client: Client, method: str, path: str, **headers: str) -> dict[str, Any]:
    return json.loads(client.request(method, path, headers=JSON | headers).body)


@pytest.mark.shows("POST /jobs/{ids}/retry: OriginJobId, RetryJobId")
def test_a_failed_job_is_retried(server):
    """A failed and a cancelled job each get a new job with the same parameters; both name each other."""
    client = server.client
    failed, cancelled = fail(server), submit(client)
    client.put(f"/jobs/{cancelled}?cancel")
    made = ask(client, "POST", f"/jobs/{failed},{cancelled}/retry")["JobsDetail"]
    assert [failed, cancelled] == [job["OriginJobId"] for job in made]
    assert {"Submitted"} == {job["State"] for job in made}
    shown = ask(client, "GET", f"/jobs/{failed},{made[0]['JobId']}")["JobsDetail"]
    assert made[0]["JobId"] == shown[0]["RetryJobId"]
    assert [job["Operation"]["UserData"] for job in shown] == ["u", "u"]
    specs = [server.store.jobs.find(job["JobId"]).spec for job in shown]
    assert specs[0].callback == specs[1].callback
    plain = client.get(f"/jobs/{failed},{made[0]['JobId']}").body
    assert b"OriginJobId" not in plain
    assert b"RetryJobId" not in plain


def test_a_repeated_retry_makes_no_second_job(server):
    """With an Idempotency-Key the same retry gives the same job, and another one is refused."""
    first, second = fail(server), fail(server)
    path = f"/jobs/{first}/retry"
    made = [ask(server.client, "POST", path, **{"Idempotency-Key": "k"})["JobsDetail"][0] for _ in range(2)]
    assert made[0]["JobId"] == made[1]["JobId"]
    other = server.client.post(f"/jobs/{second}/retry", "", {"Idempotency-Key": "k"})
    assert (409, "InvalidArgument") == (other.status, other.code)


@pytest.mark.shows("POST /jobs/{ids}/retry: OriginJobId, RetryJobId")
def test_retries_are_refused_clearly(server):
    """Waiting, running and successful jobs, and those of others, are not retried; then none is."""
    client = server.client
    failed, done = fail(server), submit(client)
    finish(server.store, done)
    waiting = submit(client)
    for job in (done, waiting, "j" + "0" * 32):
        answer = client.post(f"/jobs/{failed},{job}/retry", "")
        assert "InvalidArgument" == answer.code
        assert job in answer.text("Message")
    assert "" == server.store.jobs.find(failed).retried_by


@pytest.mark.shows("POST /callbacks/{ids}/send, GET /callbacks: states")
def test_callbacks_of_any_state_are_listed_and_sent(server):
    """Callbacks are listed by their states, and sent whatever the state; dead letters remain the default."""
    client = server.client
    job = fail(server)
    assert [] == ask(client, "GET", "/callbacks")["CallbackList"]
    for states, total in (("All", "1"), ("pending,Delivered", "1"), ("Dead", "0"), ("Delivered", "0")):
        assert total == ask(client, "GET", f"/callbacks?states={states}")["TotalCount"], states
    (shown,) = ask(client, "GET", "/callbacks?states=Pending&host=receiver.example")["CallbackList"]
    assert (job, "Pending") == (shown["JobId"], shown["State"])
    server.store.outbox.record(shown["CallbackId"], None, next_due=None, status="delivered")
    assert "1" == ask(client, "POST", f"/callbacks/{shown['CallbackId']}/send")["ReplayedCount"]
    assert "Pending" == ask(client, "GET", f"/callbacks/{job}")["Callback"][0]["State"]
    assert 1 == len(server.store.outbox.due())
    assert "InvalidArgument" == client.post("/callbacks/d0/send", "").code
    assert "InvalidArgument" == client.get("/callbacks", states="Lost").code
    assert TENANT == server.store.outbox.get(shown["CallbackId"]).tenant
