"""Jobs and callbacks as they are read from answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stemline.client.callbacks import read_callback
from stemline.client.job import Job as Known
from stemline.client.job import read_job
from stemline.client.submission import Submission
from stemline.jobs.job import Job, OutputFile, Result
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant
from stemline.wire.codec import parse, to_json
from stemline.wire.elements import Document
from stemline.wire.job import JOB
from stemline.wire.job_request import job_specs


def test_a_job_is_read_from_an_answer():
    """State, times, keys and stems of a job that has ended are there, each stem under its name."""
    tenant = Tenant("media-1250000000", "ap-chongqing")
    submission = Submission("in.mp3", output="out/${jobid}-{stem}.${ext}", codec="flac")
    request = to_json(submission.body(tenant.bucket, tenant.region))
    spec = job_specs(parse(request, "application/json"), tenant, lambda _: None)[0]
    files = tuple(OutputFile(track, spec.key(track, "j1"), "0" * 32, 5) for track in spec.tracks())
    ended = Job(
        id="j1",
        spec=spec,
        state=State.SUCCESS,
        created=1_700_000_000_000_000,
        ended=1_700_000_060_000_000,
        progress=100,
        result=Result(files, {"Format": {"Duration": "30.5"}}),
    )
    job = read_job(JOB.write(ended, Document.JSON_ANSWER))
    assert job.succeeded
    assert job.has_ended
    assert {"voice": "out/j1-voice.flac", "background": "out/j1-background.flac"} == {
        stem.name: stem.key for stem in job.stems
    }
    assert {"flac"} == {stem.extension for stem in job.stems}
    assert datetime.fromtimestamp(1_700_000_060, UTC) == job.ended
    assert (None, 30.5, "flac") == (job.started, job.duration_s, job.codec)


def test_what_an_answer_lacks_has_a_default():
    """An older or newer service may leave out or add elements."""
    job = read_job({"JobId": "j1", "State": "Submitted", "New": {"x": "y"}, "Progress": ""})
    assert ("j1", 0, (), None) == (job.id, job.progress, job.stems, job.created)
    assert () == read_callback({"CallbackId": "d1"}).attempts


def test_an_estimate_that_has_passed_says_nothing():
    """A job that takes longer than was expected is not one that has 0 s left."""
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    assert 50 < (Known("j", "Running", "s", estimated_end=now + minute).eta_s or 0) <= 60
    assert Known("j", "Running", "s", estimated_end=now - minute).eta_s is None
    assert Known("j", "Success", "s", estimated_end=now + minute).eta_s is None
