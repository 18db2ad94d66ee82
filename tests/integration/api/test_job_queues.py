"""The queue of a job: paused, full, named, and how many of its jobs run at once."""

from __future__ import annotations

import pytest

from stemline.testing.api_server import ApiServer
from stemline.testing.client import Client, submission
from tests.support.jobs import queue_id, set_queue, submit


@pytest.mark.shows("PUT /asrqueue/{queue_id}")
def test_pause(server: ApiServer) -> None:
    """Waiting jobs of a paused queue show Pause, can be cancelled, and are Submitted again afterwards."""
    client = server.client
    running, waiting, third = submit(client), submit(client), submit(client)
    assert server.store.attempts.claim("test", (0,)) is not None
    set_queue(client, "<State>Paused</State>")
    states = client.get(f"/jobs/{running},{waiting}").texts("JobsDetail/State")
    assert ["Running", "Pause"] == states
    answer = client.post("/jobs", submission())
    assert (200, "Submitted") == (answer.status, answer.text("JobsDetail/State"))
    assert 200 == client.put(f"/jobs/{third}?cancel").status
    paused = client.get("/jobs", tag="VoiceSeparate", states="Pause").texts("JobsDetail/JobId")
    assert [answer.text("JobsDetail/JobId"), waiting] == paused
    set_queue(client, "<State>Active</State>")
    assert ["Submitted", "Cancel"] == client.get(f"/jobs/{waiting},{third}").texts("JobsDetail/State")


@pytest.mark.shows("MaxSize, MaxConcurrent")
def test_full_queue(client: Client) -> None:
    """A full queue refuses with SlowDown and stores nothing."""
    set_queue(client, "<MaxSize>2</MaxSize>")
    submit(client)
    submit(client)
    answer = client.post("/jobs", submission())
    assert (503, "SlowDown") == (answer.status, answer.code)
    assert 2 == len(client.get("/jobs", tag="VoiceSeparate").texts("JobsDetail"))


@pytest.mark.shows("MaxSize, MaxConcurrent")
def test_max_concurrent(server: ApiServer) -> None:
    """No more jobs of a queue run at once than it allows, over all workers."""
    client = server.client
    set_queue(client, "<MaxConcurrent>2</MaxConcurrent>")
    for _ in range(4):
        submit(client)
    claims = [server.store.attempts.claim(f"worker {i}", (2, 1, 0)) for i in range(4)]
    assert 2 == sum(job is not None for job in claims)


@pytest.mark.shows("QueueId")
def test_named_queue(client: Client) -> None:
    """A job may name its queue; an unknown one is refused."""
    queue = queue_id(client)
    assert 200 == client.post("/jobs", submission(request=f"<QueueId>{queue}</QueueId>")).status
    answer = client.post("/jobs", submission(request="<QueueId>p0</QueueId>"))
    assert (400, "QueueNotFound") == (answer.status, answer.code)
