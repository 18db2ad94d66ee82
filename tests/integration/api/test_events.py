"""Server-sent events and waiting answers over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice

import pytest

from stemline.api import hub
from stemline.jobs.states import QueueState
from stemline.jobs.store import QueueFilter
from stemline.jobs.worker import Worker
from stemline.testing.api_server import TENANT, ApiServer, finish
from stemline.testing.client import Answer, Client, submission
from stemline.testing.event_stream import EventStream, Received

Serve = Callable[..., ApiServer]
JSON = {"Accept": "application/json"}


def submit(client: Client) -> str:
    return client.post("/jobs", submission()).text("JobsDetail/JobId") or ""


def states(stream: EventStream, count: int) -> list[str]:
    return [event.data["State"] for event in islice(changes(stream), count)]


def changes(stream: EventStream) -> Iterator[Received]:
    """The events that describe a change of state or progress."""
    return (event for event in stream if event.kind in {"job", "queue"})


@pytest.mark.shows("GET /events, GET /jobs/{job_id}/events: Last-Event-ID, lastEventId")
def test_a_job_is_followed_to_its_end(server):
    """A job's stream begins with its present state, reports every change and ends with the job."""
    job = submit(server.client)
    with EventStream(server.client, f"/jobs/{job}/events") as stream:
        assert (200, "text/event-stream") == (stream.status, stream.headers["content-type"].split(";")[0])
        events = changes(stream)
        first = next(events)
        assert ("job", job, "Submitted") == (first.kind, first.data["JobId"], first.data["State"])
        held = server.store.attempts.claim("w", [0])
        server.store.attempts.heartbeat(job, held.token, 41, stage="separate")
        server.store.attempts.fail(held, "AudioDamaged", "It is.")
        rest = list(events)
    assert [("Running", "0"), ("Running", "41"), ("Failed", "41")] == [
        (event.data["State"], event.data["Progress"]) for event in rest
    ]
    assert ["Success", "Success", "AudioDamaged"] == [event.data["Code"] for event in rest]
    assert "separate" == rest[1].data["Stage"]


@pytest.mark.shows("GET /events, GET /jobs/{job_id}/events: Last-Event-ID, lastEventId")
def test_a_stream_is_taken_up_where_it_broke(server):
    """With Last-Event-ID, in a header or the query, a client gets what came since, and nothing twice."""
    client, store = server.client, server.store
    with EventStream(client, "/events") as stream:
        first = next(iter(stream))
        assert "open" == first.kind
    job = submit(client)
    with EventStream(client, f"/events?lastEventId={first.id}") as stream:
        (seen,) = islice(stream, 1)
        assert (job, "Submitted") == (seen.data["JobId"], seen.data["State"])
    finish(store, job)
    with EventStream(client, "/events", {"Last-Event-ID": seen.id}) as stream:
        assert ["Running", "Success"] == states(stream, 2)


def test_events_of_a_restarted_server_go_on(serve, server):
    """A stream that one server began is taken up at another one."""
    with EventStream(server.client, "/events") as stream:
        begin = next(iter(stream)).id
    job = submit(server.client)
    with EventStream(serve().client, "/events", {"Last-Event-ID": begin}) as stream:
        assert job == next(iter(stream)).data["JobId"]


def test_an_ended_job_has_nothing_more_to_tell(server):
    """A browser that asks again after the end is asked to stop; what it missed of the end it gets."""
    job = submit(server.client)
    with EventStream(server.client, f"/jobs/{job}/events") as stream:
        begin = next(iter(stream)).id
    finish(server.store, job)
    submit(server.client)
    with EventStream(server.client, f"/jobs/{job}/events") as stream:
        (event,) = stream
        assert ("Success", "100") == (event.data["State"], event.data["Progress"])
    answer = server.client.request("GET", f"/jobs/{job}/events", headers={"Last-Event-ID": event.id})
    assert 204 == answer.status
    with EventStream(server.client, f"/jobs/{job}/events", {"Last-Event-ID": begin}) as stream:
        assert ["Running", "Success"] == [event.data["State"] for event in changes(stream)]


def test_a_waiting_job_shows_the_pause_of_its_queue(server):
    """Pausing a queue is reported to those who follow one of its waiting jobs or all events."""
    job = submit(server.client)
    (queue,) = server.store.queues.search(TENANT, QueueFilter()).items
    with (
        EventStream(server.client, f"/jobs/{job}/events") as one,
        EventStream(server.client, "/events") as all_jobs,
    ):
        next(iter(one))
        next(iter(all_jobs))
        for state in (QueueState.PAUSED, QueueState.ACTIVE):
            server.store.queues.update(TENANT, queue.id, state=state)
        assert ["Pause", "Submitted"] == states(one, 2)
        seen = list(islice(all_jobs, 2))
        assert [("queue", queue.id, "Paused"), ("queue", queue.id, "Active")] == [
            (event.kind, event.data["QueueId"], event.data["State"]) for event in seen
        ]


def test_a_reader_that_stayed_away_too_long_is_told(server):
    """A client whose last event is not kept any more gets a reset, then what comes next."""
    job = submit(server.client)
    with EventStream(server.client, "/events", {"Last-Event-ID": "1000-0"}) as stream:
        assert "reset" == next(iter(stream)).kind
        server.store.jobs.cancel(TENANT, [job])
        assert ["Cancel"] == states(stream, 1)


def test_a_reader_that_knows_more_than_the_store_is_told(server):
    """A client whose last event the store has lost gets a reset, then what comes next, or the job's end."""
    future = {"Last-Event-ID": "999999999999999-0"}
    job = submit(server.client)
    with EventStream(server.client, "/events", future) as stream:
        assert "reset" == next(iter(stream)).kind
        server.store.jobs.cancel(TENANT, [job])
        assert ["Cancel"] == states(stream, 1)
    with EventStream(server.client, f"/jobs/{job}/events", future) as stream:
        assert ["Cancel"] == [event.data["State"] for event in stream]
    other = submit(server.client)
    with EventStream(server.client, f"/jobs/{other}/events", future) as stream:
        assert ["position", "reset", "job"] == [event.kind for event in islice(stream, 3)]


def test_listeners_go_on_after_the_store_lost_their_events(server, monkeypatch, valkey):
    """Streams that are open while the store loses their events get a reset, and go on."""
    monkeypatch.setattr(hub, "_CHECK_S", 0.0)
    with EventStream(server.client, "/events") as stream:
        assert "open" == next(iter(stream)).kind
        submit(server.client)
        assert ["Submitted"] == states(stream, 1)
        key = f"stemline:events:{TENANT}"
        valkey.delete(key)
        before = f"{round(time.time() * 1000) - 60_000}-0"
        valkey.xadd(key, {"kind": "queue", "id": "p", "state": "Active"}, id=before)
        assert "reset" == next(event.kind for event in stream if event.kind == "reset")


def test_silence_is_filled_and_limited(serve):
    """A silent stream has heartbeats, and ends after its time."""
    server = serve(event_heartbeat_s=0.05, event_stream_s=3.0)
    with EventStream(server.client, "/events") as stream:
        lines = list(stream.lines())
    assert 2 <= lines.count(": heartbeat")
    assert "retry: 2000" == lines[0]


def test_streams_are_refused_clearly(server):
    """Unsigned, unknown and malformed requests for events are refused, and no stream begins."""
    client = server.client
    assert 403 == client.request("GET", "/events", signed=False).status
    assert "NoSuchResource" == client.get(f"/jobs/j{'0' * 32}/events").code
    for last in ("x", "1", "1-2-3", "1" * 40 + "-1"):
        answer = client.request("GET", "/events", headers={"Last-Event-ID": last})
        assert "InvalidArgument" == answer.code


def test_listeners_are_bounded(serve):
    """One credential may have so many listeners; the next one is asked to try again, and may later."""
    server = serve(listeners_per_credential=2)
    with ExitStack() as stack:
        for _ in range(2):
            next(iter(stack.enter_context(EventStream(server.client, "/events"))))
        refused = server.client.get("/events")
        assert ("SlowDown", "5") == (refused.code, refused.headers["retry-after"])
    deadline = time.monotonic() + 180
    while True:
        with EventStream(server.client, "/events") as stream:
            if stream.status == 200:
                return
        assert time.monotonic() < deadline
        server.store.jobs.cancel(TENANT, [submit(server.client)])  # what is sent shows who is gone
        time.sleep(0.05)


def test_listeners_take_no_turns(serve):
    """Many more listeners than requests may be worked on at a time leave the API to the others."""
    server = serve()
    with ExitStack() as stack:
        streams = [stack.enter_context(EventStream(server.client, "/events")) for _ in range(60)]
        readers = [iter(stream) for stream in streams]
        assert {"open"} == {next(reader).kind for reader in readers}
        job = submit(server.client)
        assert {job} == {next(reader).data["JobId"] for reader in readers}


def test_the_end_of_a_credential_ends_its_streams(serve, tmp_path):
    """A stream ends soon after its credential is gone."""
    path = tmp_path / "credentials.json"
    entry = {"secret_id": "AKIDTEMP", "secret_key": "k" * 20}
    path.write_text(json.dumps([entry]))
    server = serve(credentials_file=path, event_heartbeat_s=0.1)
    client = Client(server.port, secret_id="AKIDTEMP", secret_key="k" * 20)
    with EventStream(client, "/events") as stream:
        lines = stream.lines()
        next(lines)
        path.write_text("[]")
        assert ": heartbeat" in list(lines)


def later(call: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(0.3, call)
    timer.start()
    return timer


def first_waiting(server: ApiServer) -> str:
    """The first job that can be claimed, once there is one."""
    deadline = time.monotonic() + 180
    while not (found := server.store.jobs.startable(0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0].job_id


def ask(client: Client, method: str, path: str, body: str = "", wait: str = "wait=60") -> Answer:
    headers = {"Prefer": wait, "Content-Type": "application/xml"}
    return client.request(method, path, body.encode(), headers, timeout_s=180)


@pytest.mark.shows("Prefer")
def test_a_query_waits_for_the_end(server):
    """With Prefer: wait the answer comes when the last of the jobs has ended."""
    first, second = submit(server.client), submit(server.client)
    finish(server.store, first)
    timer = later(lambda: finish(server.store, second))
    began = time.monotonic()
    answer = ask(server.client, "GET", f"/jobs/{first},{second}")
    timer.join()
    assert ["Success", "Success"] == answer.texts("JobsDetail/State")
    assert "wait=60" == answer.headers["preference-applied"]
    assert time.monotonic() - began < 55


def test_a_job_that_is_deleted_during_a_wait_is_shown_as_it_was(server, monkeypatch):
    """Who waits for a job that is not kept any longer gets what was known of it, not nothing."""
    job = submit(server.client)
    finish(server.store, job)
    known = [server.store.jobs.get(TENANT, [job]), [None]]
    monkeypatch.setattr(server.store.jobs, "get", lambda _tenant, _ids: known.pop(0))
    answer = ask(server.client, "GET", f"/jobs/{job}")
    assert (job, "Success") == (answer.text("JobsDetail/JobId"), answer.text("JobsDetail/State"))
    assert [] == known


@pytest.mark.shows("Prefer")
def test_a_submission_waits_for_the_end(server):
    """A submission with Prefer: wait is answered with the ended job."""
    worker = threading.Thread(target=lambda: finish(server.store, first_waiting(server)))
    worker.start()
    answer = ask(server.client, "POST", "/jobs", submission(), "respond-async, wait=60")
    worker.join()
    assert ["Success"] == answer.texts("JobsDetail/State")


def test_waiting_ends_after_its_time(server):
    """After N seconds the answer shows the jobs as they are; a waiting job needs no result."""
    answer = ask(server.client, "POST", "/jobs", submission(), "wait=1")
    assert (200, ["Submitted"]) == (answer.status, answer.texts("JobsDetail/State"))
    job = answer.text("JobsDetail/JobId")
    assert ["Submitted"] == ask(server.client, "GET", f"/jobs/{job}", wait="wait=0").texts("JobsDetail/State")


def test_a_wait_is_as_long_as_the_settings_allow(serve):
    """A server that lets requests wait for less applies its own bound and says so."""
    answer = ask(serve(max_wait_s=1).client, "POST", "/jobs", submission(), "wait=60")
    assert (200, "wait=1") == (answer.status, answer.headers["preference-applied"])


def test_waits_are_refused_clearly(server):
    """A wait that is no number or too long is refused, and nothing is stored."""
    for wait in ("wait=x", "wait=", "wait=-1", "wait=61", "wait=1.5"):
        answer = ask(server.client, "POST", "/jobs", submission(), wait)
        assert "InvalidArgument" == answer.code, wait
        assert "Prefer: wait" in answer.text("Message")
    assert [] == server.client.get("/jobs", tag="VoiceSeparate").texts("JobsDetail/JobId")


def test_a_wait_beyond_the_bound_is_answered_at_once(serve):
    """Where no more requests may wait, a submission is stored and answered without waiting."""
    server = serve(listeners_per_credential=1)
    with EventStream(server.client, "/events") as stream:
        next(iter(stream))
        answer = ask(server.client, "POST", "/jobs", submission())
        assert (200, ["Submitted"]) == (answer.status, answer.texts("JobsDetail/State"))
        assert "preference-applied" not in answer.headers


def test_a_stopping_server_answers_who_waits(serve):
    """A server that stops answers waiting requests with what is known, and ends its streams."""
    server = serve()
    answers: list[Answer] = []
    waiting = threading.Thread(
        target=lambda: answers.append(ask(server.client, "POST", "/jobs", submission()))
    )
    with EventStream(server.client, "/events") as stream:
        events = iter(stream)
        next(events)
        waiting.start()
        next(events)
        time.sleep(0.2)
        began = time.monotonic()
        server._server.should_exit = True
        waiting.join(180)
        assert [] == list(events)
    assert ["Submitted"] == answers[0].texts("JobsDetail/State")
    assert time.monotonic() - began < 55


@pytest.mark.shows("Stage")
def test_stage_is_shown_on_request(server):
    """JSON answers show the stage of a running job; plain XML, which vendors parse, does not."""
    job = submit(server.client)
    held = server.store.attempts.claim("w", [0])
    server.store.attempts.heartbeat(job, held.token, 3, stage="download")
    shown = json.loads(server.client.request("GET", f"/jobs/{job}", headers=JSON).body)
    assert "download" == shown["JobsDetail"][0]["Stage"]
    assert b"Stage" not in server.client.get(f"/jobs/{job}").body
    assert "download" == server.client.get(f"/jobs/{job}", additions="1").text("JobsDetail/Stage")


@pytest.mark.shows("Position, EstimatedStartTime, EstimatedEndTime")
def test_position_and_estimates_are_shown_on_request(server):
    """JSON answers show a waiting job's place and estimates; plain XML, which vendors parse, does not."""
    server.store.workers.report(Worker("w", "separation", 1, (0, 1, 2), "cpu", "1", 5))
    first, second = submit(server.client), submit(server.client)
    both = f"/jobs/{first},{second}"
    shown = json.loads(server.client.request("GET", both, headers=JSON).body)["JobsDetail"]
    assert ["1", "2"] == [job["Position"] for job in shown]
    assert "EstimatedStartTime" in shown[0]
    held = server.store.attempts.claim("w", [0])
    server.store.attempts.heartbeat(first, held.token, 30, remaining_s=60)
    (running,) = json.loads(server.client.request("GET", f"/jobs/{first}", headers=JSON).body)["JobsDetail"]
    assert "EstimatedEndTime" in running
    assert "Position" not in running
    plain = server.client.get(both).body
    assert b"Position" not in plain
    assert b"Estimated" not in plain


@pytest.mark.shows("WaitReason")
def test_a_job_that_no_worker_takes_says_so_on_request(server):
    """JSON answers and events give the reason; plain XML does not, nor does a job that a worker takes."""
    job = submit(server.client)

    def shown() -> dict[str, str]:
        (found,) = json.loads(server.client.request("GET", f"/jobs/{job}", headers=JSON).body)["JobsDetail"]
        return found

    reason = "No worker that separates is running."
    assert (reason, "") == (shown()["WaitReason"], shown()["Message"])
    with EventStream(server.client, f"/jobs/{job}/events") as stream:
        assert reason in [event.data.get("WaitReason") for event in islice(stream, 2)]
    plain = server.client.get(f"/jobs/{job}").body
    assert b"WaitReason" not in plain
    assert b"<Message/>" in plain
    server.store.workers.report(Worker("w", "separation", 1, (0, 1, 2), "cpu", "1", 5))
    assert "WaitReason" not in shown()


def test_a_waiting_jobs_stream_tells_its_position(server):
    """Who follows a waiting job sees its place, and again when it has moved up."""
    first, second = submit(server.client), submit(server.client)
    with EventStream(server.client, f"/jobs/{second}/events") as stream:
        events = iter(stream)
        assert "job" == next(events).kind
        place = next(events)
        assert ("position", "2", "") == (place.kind, place.data["Position"], place.id)
        server.store.jobs.cancel(TENANT, [first])
        place = next(events)
        assert ("position", "1") == (place.kind, place.data["Position"])
