"""Many jobs or callbacks with one request over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stemline.jobs.states import State
from stemline.jobs.store import Counted, JobFilter
from stemline.jobs.tenant import Tenant
from stemline.testing.api_server import TENANT, ApiServer
from stemline.testing.client import submission

JSON = {"Accept": "application/json"}
CALLBACK = "<CallBack>http://receiver.example/x</CallBack>"


def ask(server: ApiServer, path: str) -> dict[str, Any]:
    return json.loads(server.client.request("POST", path, headers=JSON).body)


def submit(server: ApiServer, source: str = "in/a.mp3", level: int = 0) -> str:
    body = submission(source=source, request=CALLBACK, operation=f"<JobLevel>{level}</JobLevel>")
    return server.client.post("/jobs", body).text("JobsDetail/JobId") or ""


def count(server: ApiServer, *states: State) -> int:
    return server.store.jobs.count(TENANT, JobFilter(states=frozenset(states), size=1000)).jobs


@pytest.mark.shows(
    "POST /bulk/jobs/cancel, POST /bulk/jobs/retry, POST /bulk/callbacks/send",
    "level, inputPrefix, dryRun, MatchedCount, ChangedCount",
)
def test_jobs_are_cancelled_by_a_filter(server):
    """A dry run counts, then the same request cancels what it counted and nothing else."""
    for number in range(6):
        submit(server, f"{'ab'[number % 2]}/{number}.mp3", number % 3)
    path = "/bulk/jobs/cancel?inputPrefix=a%2F"
    assert ("3", "0") == counts(ask(server, path + "&dryRun=true"))
    assert 6 == count(server, State.SUBMITTED)
    assert ("3", "3") == counts(ask(server, path))
    assert ("0", "0") == counts(ask(server, path))
    assert 3 == count(server, State.CANCEL)
    assert ("1", "1") == counts(ask(server, "/bulk/jobs/cancel?level=1"))
    assert ("2", "2") == counts(ask(server, "/bulk/jobs/cancel?states=Submitted"))


@pytest.mark.parametrize("query", ["", "?endCreationTime=2100-01-01T00%3A00%3A00%2B0800"])
def test_jobs_that_arrive_meanwhile_are_not_meant(server, monkeypatch, query):
    """Whatever end a request names, it changes no job that is created after it began."""
    ends: list[int] = []

    def cancel(_tenant: Tenant, which: JobFilter) -> Counted:
        ends.append(which.end or 0)
        return Counted(0, None)

    monkeypatch.setattr(server.store.jobs, "cancel_where", cancel)
    before = server.store.now()
    ask(server, f"/bulk/jobs/cancel{query}")
    (end,) = ends
    assert before <= end <= server.store.now()


def counts(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["MatchedCount"], answer["ChangedCount"]


@pytest.mark.shows("POST /bulk/jobs/cancel, POST /bulk/jobs/retry, POST /bulk/callbacks/send")
def test_failed_and_cancelled_jobs_are_retried_once(server):
    """Retrying by filter makes one new job for each that has none yet; a second request finds none."""
    for number in range(4):
        submit(server, f"in/{number}.mp3")
    for _ in range(2):
        server.store.attempts.fail(server.store.attempts.claim("w", [0]), "AudioDamaged", "It is.")
    ask(server, "/bulk/jobs/cancel")
    assert ("2", "0") == counts(ask(server, "/bulk/jobs/retry?states=Failed&dryRun=1"))
    assert ("2", "2") == counts(ask(server, "/bulk/jobs/retry?states=Failed"))
    assert ("2", "0") == counts(ask(server, "/bulk/jobs/retry?dryRun=true"))
    assert ("2", "2") == counts(ask(server, "/bulk/jobs/retry"))
    assert ("0", "0") == counts(ask(server, "/bulk/jobs/retry"))
    assert 4 == count(server, State.SUBMITTED)
    retried = server.store.jobs.search(TENANT, JobFilter(states=frozenset({State.SUBMITTED}))).items
    assert {State.FAILED, State.CANCEL} == {server.store.jobs.find(job.spec.origin).state for job in retried}


def test_a_full_queue_stops_a_retry_where_it_can_go_on(serve):
    """What fits into the queue is retried; the answer says where the rest begins."""
    server = serve(queue_max_size=2)
    for _ in range(2):
        submit(server)
    ask(server, "/bulk/jobs/cancel")
    submit(server)
    answer = server.client.post("/bulk/jobs/retry", "")
    assert (503, "SlowDown") == (answer.status, answer.code)
    assert 1 == count(server, State.SUBMITTED)


@pytest.mark.shows("POST /bulk/jobs/cancel, POST /bulk/jobs/retry, POST /bulk/callbacks/send")
def test_callbacks_are_sent_by_a_filter(server):
    """A dry run counts the callbacks of a filter, then they are sent, whatever their state."""
    for _ in range(3):
        submit(server)
        server.store.attempts.fail(server.store.attempts.claim("w", [0]), "AudioDamaged", "It is.")
    for delivery in server.store.outbox.due():
        server.store.outbox.record(delivery, None, next_due=None, status="dead")
    assert ("3", "0") == counts(ask(server, "/bulk/callbacks/send?dryRun=true"))
    assert ("0", "0") == counts(ask(server, "/bulk/callbacks/send?host=other.example"))
    assert ("3", "3") == counts(ask(server, "/bulk/callbacks/send"))
    assert ("3", "3") == counts(ask(server, "/bulk/callbacks/send?states=All&host=receiver.example"))
    assert 3 == len(server.store.outbox.due())


ONCE = "must be given once, with a value, or left out."


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("prefix=a", "prefix is not a parameter of this operation."),
        ("states=Lost", "states must be All or a list of"),
        ("level=3", "level must be a whole number from 0 to 2."),
        ("dryRun=maybe", "dryRun must be one of true, false."),
        ("states=Success", "states must hold one of Pause, Running, Submitted."),
        ("size=1", "size is not a parameter of this operation."),
        ("nextToken=x", "nextToken is not one that a list returned."),
        *(
            (f"{name}=", f"{name} {ONCE}")
            for name in ("batchId", "queueId", "inputPrefix", "level", "states")
        ),
        ("batchid=%20", f"batchId {ONCE}"),
        ("inputPrefix", f"inputPrefix {ONCE}"),
        ("dryRun=&level=1", f"dryRun {ONCE}"),
        ("inputPrefix=in&InputPrefix=out", f"inputPrefix {ONCE}"),
        ("dryRun=0&dryRun=1", f"dryRun {ONCE}"),
    ],
)
def test_a_filter_that_is_not_understood_changes_nothing(server, query, words):
    """What would mean other jobs is refused by name: misspelt, left empty by a script, or given twice."""
    submit(server)
    answer = server.client.post(f"/bulk/jobs/cancel?{query}", "")
    assert "InvalidArgument" == answer.code
    assert words in answer.body.decode()
    assert 1 == count(server, State.SUBMITTED)
