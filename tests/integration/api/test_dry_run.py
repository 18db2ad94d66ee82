"""Submissions that are only tried, over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from stemline.api import dry_run
from stemline.jobs.job import Result
from stemline.jobs.probe import Probe, Question
from stemline.jobs.store import Store
from stemline.jobs.worker import Worker
from stemline.runtime.settings import Credential
from stemline.testing.client import Client, submission

JSON = {"Accept": "application/json"}
FOUND = Probe("Success", "", 4000, 10.0, "mp3", "mp3", 44_100, 2, 128, (1_764_000,))


@contextmanager
def worker(store: Store, probe: Probe) -> Iterator[list[Question]]:
    """Answer each question with the same probe."""
    store.workers.report(Worker("w", "separation", 1, (0, 1, 2), "cpu", "1", 1))
    asked: list[Question] = []
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            if question := store.probes.take(0.1):
                asked.append(question)
                store.probes.answer(question.id, probe)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield asked
    finally:
        stopped.set()
        thread.join()


def ask(client: Client, body: str = "") -> dict:
    answer = client.request("POST", "/jobs?dryRun=true", (body or submission()).encode(), JSON)
    return json.loads(answer.body)


@pytest.mark.shows("POST /jobs: dryRun")
def test_a_dry_run_tells_what_would_happen(server, valkey):
    """The source is shown as a worker found it, with size, times and number of stems; nothing is stored."""
    server.client.post("/jobs", submission())
    server.store.attempts.succeed(server.store.attempts.claim("w", [0]), Result((), {}, audio_s=20.0))
    before = keys(valkey)
    with worker(server.store, FOUND) as asked:
        body = submission(mode="IsAudio", request="<CallBack>http://user:secret@receiver.example/</CallBack>")
        found = ask(server.client, body)
    assert ("Success", "10.000", "mp3", "2", "128") == tuple(
        found["Source"][name] for name in ("Code", "Duration", "CodecName", "Channel", "Bitrate")
    )
    (estimate,) = found["Estimate"]
    assert ("1", "1764000") == (estimate["StemCount"], estimate["StemSize"])
    assert {"EstimatedStartTime", "EstimatedEndTime", "Seconds"} <= set(estimate)
    assert before == keys(valkey)
    assert "secret" not in repr(asked)


def keys(valkey: redis.Redis) -> set[bytes]:
    """All keys of a store but those that workers write."""
    return {key for key in valkey.scan_iter("*") if not re.search(rb":(probe|worker)", key)}


@pytest.mark.parametrize(("wants", "ratio"), [("AudioAndBackground", 0.5), ("htdemucs", 5.0), ("mdx", 2.75)])
def test_a_dry_run_expects_of_a_model_what_it_took_before(wants: str, ratio: float) -> None:
    """The time that a job will take follows from jobs of the same model, or from all if there are none."""
    totals = {"work_ms:cpu": 100_000, "work_ms:cuda": 10_000, "audio_ms": 40_000}
    totals |= {"work_ms_of:AudioAndBackground": 10_000, "audio_ms_of:AudioAndBackground": 20_000}
    totals |= {"work_ms_of:htdemucs": 100_000, "audio_ms_of:htdemucs": 20_000}
    assert ratio == dry_run.work_per_audio(totals, wants)
    assert dry_run.work_per_audio({}, wants) is None


def test_a_dry_run_promises_no_start_to_a_job_that_no_worker_could_do(serve):
    """A model that no living worker serves has the reason instead of times, until a worker serves it."""
    config = "<AudioConfig><Codec>mp3</Codec></AudioConfig><Model>htdemucs</Model>"
    body, server = submission(config=config), serve(request_models=("*",))
    with worker(server.store, FOUND):
        (estimate,) = ask(server.client, body)["Estimate"]
        assert {"StemCount": "2", "Message": "No worker that is running serves htdemucs."} == estimate
        server.store.workers.report(Worker("w", "separation", 1, (0,), "cpu", "1", 1, ("htdemucs",)))
        (estimate,) = ask(server.client, body)["Estimate"]
    assert "EstimatedStartTime" in estimate


def test_a_dry_run_is_answered_without_a_worker(server, monkeypatch):
    """If no worker answers in time, the number of stems is answered, and that no worker runs."""
    monkeypatch.setattr(dry_run, "PROBE_S", 0.2)
    found = ask(server.client)
    assert "Source" not in found
    assert [{"StemCount": "2", "Message": "No worker that separates is running."}] == found["Estimate"]


def test_the_request_alone_is_checked(server):
    """Without a look at the source no worker is waited for, and nothing is said of it."""
    answer = server.client.request("POST", "/jobs?dryRun=true&probe=false", submission().encode(), JSON)
    found = json.loads(answer.body)
    assert (200, [], False) == (answer.status, found["Estimate"], "Source" in found)


def test_a_dry_run_says_why_a_job_would_fail(server):
    """A source that is missing is an answer, with the code that the job would end with."""
    with worker(server.store, Probe("ResourceNotFound", "The input object does not exist.")):
        found = ask(server.client)
    assert "ResourceNotFound" == found["Source"]["Code"]
    assert "Duration" not in found["Source"]


def test_xml_has_it_too(server):
    """The answer in XML has the same elements."""
    with worker(server.store, FOUND):
        answer = server.client.post("/jobs?dryRun=1", submission())
    assert ("10.000", "1764000") == (answer.text("Source/Duration"), answer.text("Estimate/StemSize"))


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("dryRun=perhaps", submission(), "InvalidArgument"),
        ("dryRun=true", submission(request="<Deadline>soon</Deadline>"), "InvalidArgument"),
        ("dryRun=true", submission(request=f"<QueueId>p{'0' * 32}</QueueId>"), "QueueNotFound"),
        ("dryRun=true", "<Request/>", "InvalidArgument"),
        ("dryRun=true&probe=false", "<Request/>", "InvalidArgument"),
    ],
)
def test_a_dry_run_refuses_what_a_submission_would(client, query, body, code):
    """Every check of a submission is made, before a worker is asked."""
    assert code == client.post(f"/jobs?{query}", body).code


def test_a_full_queue_and_a_spent_budget_are_seen(serve):
    """A dry run is refused where the submission would be."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=1)
    server = serve(credentials=(limited,), queue_max_size=1)
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    client.post("/jobs", submission())
    assert "BudgetExceeded" == client.post("/jobs?dryRun=true", submission()).code
    other = serve(queue_max_size=1)
    assert "SlowDown" == other.client.post("/jobs?dryRun=true", submission()).code
