"""Scheduled starts, deadlines and timeouts over HTTP."""

from __future__ import annotations

import json
import time

import pytest

from stemline.testing.client import submission
from stemline.wire.times import format_time, parse_time

JSON = {"Accept": "application/json"}


def at(seconds: float) -> str:
    """A time on the wire, some seconds from now."""
    return format_time(round((time.time() + seconds) * 1e6))


@pytest.mark.shows("NotBefore, Deadline, Timeout")
def test_times_of_a_submission(server):
    """What a submission says is shown in JSON, and in XML on request; a vendor's XML has none of it."""
    times = {"NotBefore": at(60), "Deadline": at(120), "Timeout": "900"}
    elements = "".join(f"<{name}>{text}</{name}>" for name, text in times.items())
    made = server.client.post("/jobs", submission(request=elements))
    job = made.text("JobsDetail/JobId")
    shown = json.loads(server.client.request("GET", f"/jobs/{job}", headers=JSON).body)["JobsDetail"][0]
    assert times == {name: shown[name] for name in times}
    assert "Submitted" == shown["State"]
    assert "Position" not in shown
    assert b"Deadline" not in made.body
    assert b"Deadline" not in server.client.get(f"/jobs/{job}").body
    assert times["Deadline"] == server.client.get(f"/jobs/{job}", additions="1").text("JobsDetail/Deadline")
    spec = server.store.jobs.find(job).spec
    assert (parse_time(times["Deadline"]), 900) == (spec.deadline, spec.timeout_s)
    assert server.store.attempts.claim("w", [0]) is None


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ("<Deadline>soon</Deadline>", "Deadline must be a time"),
        ("<Deadline>{passed}</Deadline>", "Deadline has passed"),
        ("<NotBefore>{later}</NotBefore><Deadline>{soon}</Deadline>", "after NotBefore"),
        ("<NotBefore>{far}</NotBefore>", "within a year"),
        ("<Timeout>0</Timeout>", "Timeout must be"),
        ("<Timeout>604801</Timeout>", "Timeout must be"),
        ("<Timeout>1.5</Timeout>", "Timeout must be"),
    ],
)
def test_times_are_refused_clearly(server, elements, reason):
    """A time that cannot be met is refused, and nothing is stored."""
    times = {"passed": at(-60), "soon": at(80_000), "later": at(90_000), "far": at(400 * 86_400)}
    answer = server.client.post("/jobs", submission(request=elements.format(**times)))
    assert "InvalidArgument" == answer.code
    assert reason in answer.text("Message")
    assert [] == server.client.get("/jobs", tag="VoiceSeparate").texts("JobsDetail/JobId")


def test_a_retry_of_a_late_job_has_no_deadline(server):
    """A job that was cancelled for its deadline can be retried, and is not cancelled again."""
    job = server.client.post("/jobs", submission(request=f"<Deadline>{at(3600)}</Deadline>"))
    job_id = job.text("JobsDetail/JobId")
    server.client.put(f"/jobs/{job_id}?cancel")
    made = server.client.post(f"/jobs/{job_id}/retry", "").text("JobsDetail/JobId")
    assert server.store.jobs.find(made).spec.deadline is None
