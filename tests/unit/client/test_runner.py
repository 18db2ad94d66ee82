"""A run over many tracks, with a client that fails on request."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemline.client.errors import ApiError, ConnectionFailed, ObjectMissing, StoreRefused, TransferFailed
from stemline.client.job import Job, Stem
from stemline.client.names import file_names
from stemline.client.submission import Submission
from stemline.client.tracks import pace, runner
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.manifest import Manifest
from stemline.client.tracks.options import Options, Report
from stemline.client.tracks.runner import Runner
from stemline.client.tracks.sources import Track
from stemline.client.tracks.submitter import OptionsRefused


class Service:
    """A client whose jobs succeed at once."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.faults: dict[str, list[Exception]] = {}
        """What goes wrong next, by the name of a method."""
        self.cancelled: list[str] = []

    def _fail(self, method: str) -> None:
        if self.faults.get(method):
            raise self.faults[method].pop(0)

    def submit_as(self, submission: Submission, *, idempotency_key: str) -> Job:
        self._fail("submit_as")
        pattern = str(submission.output).replace("${ext}", "wav")
        keys = {stem: pattern.replace("{stem}", stem) for stem in ("voice", "background")}
        stems = tuple(Stem(name, key, "b", "r", "") for name, key in keys.items())
        job = Job(f"j{idempotency_key}", "Success", submission.source, outputs=keys, stems=stems)
        return self.jobs.setdefault(job.id, job)

    def dry_run(self, source: str, *, probe: bool) -> None:
        assert not probe
        self._fail("dry_run")

    def get_many(self, ids: list[str]) -> dict[str, Job]:
        self._fail("get_many")
        return {each: self.jobs[each] for each in ids}

    def list(self, *, source: str) -> Iterator[Job]:
        self._fail("list")
        yield from [job for job in self.jobs.values() if job.source == source]

    def download(self, job: Job, folder: Path, *, pattern: str, values: Any, progress: Any) -> None:
        del progress
        for path in file_names(job, folder, pattern, values).values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(job.source)
            self._fail("download")

    def cancel(self, job_id: str) -> None:
        self._fail("cancel")
        self.cancelled.append(job_id)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pauses be short."""
    monkeypatch.setattr(pace, "_FIRST_S", 0.001)
    monkeypatch.setattr(runner, "interval_s", lambda _: 0.01)


class Run:
    """Runs over the same tracks, one after another, as separate commands would."""

    def __init__(self, service: Service, folder: Path, *keys: str) -> None:
        self.service, self.folder = service, folder
        self.tracks = [Track(key, key=key, name=Path(key).stem) for key in keys]
        self.report = Report()
        self.states: dict[str, str] = {}
        self.messages: list[str] = []

    def __call__(self, **options: Any) -> Runner:
        with Manifest(self.folder / "m.jsonl", "keys", {}) as manifest:
            given = Options(parameters={}, folder=self.folder, **options)
            runner = Runner(self.service, manifest, self.tracks, given, self.report)  # type: ignore[arg-type]
            try:
                runner.run()
            finally:
                self.states = {name: entry.state for name, entry in manifest.entries.items()}
                self.messages = [entry.message for entry in manifest.entries.values()]
            return runner


def test_keys_that_the_bucket_refuses_end_the_run_at_once(service: Service, tmp_path: Path) -> None:
    """Every track would be refused; none is tried again, none has failed, and the next run sends them."""
    run = Run(service, tmp_path / "out")
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(b"x")
        run.tracks.append(Track(name, path=tmp_path / name, name=name))
    sent: list[str] = []

    def upload(path: Path, key: str, **_: Any) -> str:
        sent.append(path.name)
        raise StoreRefused("b/in/a.wav could not be sent: (403) Forbidden")

    service.upload = upload  # type: ignore[attr-defined]
    with pytest.raises(StoreRefused):
        run(jobs=1)
    assert len(sent) == len(set(sent))
    assert set(run.states.values()) == {"sending"}
    service.upload = lambda path, key, **_: key  # type: ignore[attr-defined]
    run(jobs=1)
    assert {"a.wav": "done", "b.wav": "done", "c.wav": "done"} == run.states


def test_stems_that_were_fetched_in_part_are_fetched_again(service: Service, tmp_path: Path) -> None:
    """A run that was killed between two stems may replace the first one; a stranger's file it may not."""
    run = Run(service, tmp_path, "in/a.mp3")
    service.faults["download"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        run()
    assert ["a-voice.wav"] == [path.name for path in tmp_path.glob("*.wav")]
    run()
    assert {"in/a.mp3": "done"} == run.states
    other = Run(service, tmp_path, "other/a.mp3")
    other()
    assert "failed" == other.states["other/a.mp3"]
    assert "a-voice.wav is there already" in other.messages[-1]
    assert "in/a.mp3" == (tmp_path / "a-voice.wav").read_text()
    other(overwrite=True, retry_failed=True)
    assert ("done", 2) == (other.states["other/a.mp3"], len(service.jobs))
    assert "other/a.mp3" == (tmp_path / "a-voice.wav").read_text()


def test_refused_options_end_the_run(service: Service, tmp_path: Path) -> None:
    """Options that no job may have end the run at once; what is refused of one track fails that one alone."""
    refusal = ApiError("InvalidArgument", "CallBack must be a URL.", status=400)
    run = Run(service, tmp_path, *(f"in/{number}.mp3" for number in range(20)))
    service.faults = {"submit_as": [refusal] * 20, "dry_run": [refusal] * 20}
    with pytest.raises(OptionsRefused, match="CallBack"):
        run()
    assert {"sending"} == set(run.states.values())
    assert len(run.states) < 20
    service.faults = {"submit_as": [refusal]}
    run()
    assert [*["done"] * 19, "failed"] == sorted(run.states.values())
    assert 19 == len(service.jobs)


def test_stems_that_are_missing_are_fetched_again(service: Service, tmp_path: Path) -> None:
    """A deleted stem is fetched without another job; a changed one is replaced only with --overwrite."""
    run, stem = Run(service, tmp_path, "in/a.mp3"), tmp_path / "a-voice.wav"
    run()
    stem.unlink()
    run()
    assert ("in/a.mp3", {"in/a.mp3": "done"}, 1) == (stem.read_text(), run.states, len(service.jobs))
    stem.write_text("my own mix")
    run()
    assert ("failed", "my own mix") == (run.states["in/a.mp3"], stem.read_text())
    assert "a-voice.wav was changed since it was fetched" in run.messages[-1]
    run(overwrite=True, retry_failed=True)
    assert ("in/a.mp3", {"in/a.mp3": "done"}, 1) == (stem.read_text(), run.states, len(service.jobs))


def test_stems_that_are_nowhere_are_separated_again_on_request(service: Service, tmp_path: Path) -> None:
    """Where the bucket has lost a stem too, the track fails, and --retry-failed makes another job."""
    run, stem = Run(service, tmp_path, "in/a.mp3"), tmp_path / "a-voice.wav"
    run()
    stem.unlink()
    service.faults["download"] = [ObjectMissing("b/stems/voice.wav is in the bucket no more")]
    run()
    assert ({"in/a.mp3": "failed"}, 1) == (run.states, len(service.jobs))
    run(retry_failed=True)
    assert ({"in/a.mp3": "done"}, 2) == (run.states, len(service.jobs))


def test_a_source_that_changed_is_separated_again(service: Service, tmp_path: Path) -> None:
    """Another size or time of a source makes another job, whose stems replace those of the track."""
    run = Run(service, tmp_path, "in/a.mp3")
    run.tracks = [replace(run.tracks[0], stamp="1 1")]
    run()
    run()
    assert 1 == len(service.jobs)
    run.tracks = [replace(run.tracks[0], stamp="1 2")]
    run()
    run()
    assert ({"in/a.mp3": "done"}, 2) == (run.states, len(service.jobs))


@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize("code", ["InvalidContent", "NotFetched", "NotUploaded"])
def test_a_failed_source_that_changed_is_separated(
    code: str, retry_failed: bool, service: Service, tmp_path: Path
) -> None:
    """A file that was repaired is another one, whatever it failed of, with the option and without it."""
    run = Run(service, tmp_path, "in/a.mp3")
    with Manifest(tmp_path / "m.jsonl", "keys", {}) as manifest:
        entry = manifest.begin(Entry("in/a.mp3", name="a", stamp="1 1"), "in/a.mp3")
        manifest.failed(manifest.submitted(entry, "jold"), code, "wrong")
    run.tracks = [replace(run.tracks[0], stamp="1 1")]
    run()
    assert {"in/a.mp3": "failed"} == run.states
    run.tracks = [replace(run.tracks[0], stamp="1 2")]
    run(retry_failed=retry_failed)
    assert ({"in/a.mp3": "done"}, 1) == (run.states, len(service.jobs))


def test_a_job_is_looked_for_again(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the day of the idempotency key a lost connection or a busy service does not end the look-up."""
    run = Run(service, tmp_path, "in/b.mp3")
    with Manifest(tmp_path / "m.jsonl", "keys", {}) as manifest:
        entry = manifest.begin(Entry("in/b.mp3", name="b"), "in/b.mp3")
        manifest.sent(entry, "in/b.mp3")
    service.faults["list"] = [ConnectionFailed("x"), ApiError("SlowDown", "m", status=503)]
    now = time.time() + 30 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    run()
    assert "done" == run.states["in/b.mp3"]
    assert [] == service.faults["list"]


def test_why_no_worker_takes_the_jobs_is_reported(service: Service, tmp_path: Path) -> None:
    """It is said once, and again with an empty text when a worker takes them."""
    run, said = Run(service, tmp_path, "in/a.mp3"), list[str]()
    reasons = ["nobody", "nobody", "", None]

    class Said(Report):
        def holding(self, why: str) -> None:
            said.append(why)

    run.report = Said()

    def get_many(ids: list[str]) -> dict[str, Job]:
        reason = reasons.pop(0)
        state = "Success" if reason is None else "Submitted"
        return {each: replace(service.jobs[each], state=state, wait_reason=reason or "") for each in ids}

    service.get_many = get_many  # type: ignore[method-assign]
    run()
    assert ["nobody", ""] == said


def test_a_full_disk_ends_the_run(service: Service, tmp_path: Path) -> None:
    """Where no stem can be written any more, the run ends at once, and goes on later."""
    run = Run(service, tmp_path, "in/a.mp3", "in/b.mp3")
    full = TransferFailed("x could not be fetched: No space left on device")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    service.faults["download"] = [full]
    with pytest.raises(TransferFailed, match="No space left"):
        run(jobs=1)
    assert "failed" not in run.states.values()
    run()
    assert {"done"} == set(run.states.values())


def test_cancelled_tracks_are_submitted_again_by_the_next_run(service: Service, tmp_path: Path) -> None:
    """A job that is cancelled with the run leaves its track to the next one, which makes a new job."""
    run = Run(service, tmp_path, "in/a.mp3", "in/b.mp3")
    service.faults["get_many"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with Manifest(tmp_path / "m.jsonl", "keys", {}) as manifest:
        runner = Runner(service, manifest, run.tracks, Options({}, tmp_path, jobs=2), Report())  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            runner.run()
        going = runner.unfinished()
        service.faults["cancel"] = [ApiError("InvalidArgument", "it has ended", status=400)]
        cancelled = runner.cancel()
    assert len(going) - 1 == len(cancelled)
    run()
    assert {"done"} == set(run.states.values())
    assert len(going) + len(cancelled) + (2 - len(going)) == len(service.jobs)


def test_a_pattern_that_gives_two_stems_one_file_fails_the_track_alone(
    service: Service, tmp_path: Path
) -> None:
    """Where the stems are known only at the end, as with a template, the track fails and the run goes on."""
    run = Run(service, tmp_path, "in/a.mp3")
    run(pattern="{name}.{ext}")
    assert {"in/a.mp3": "failed"} == run.states
    assert "add {stem}" in run.messages[0]
    run(retry_failed=True)
    assert ({"in/a.mp3": "done"}, 1) == (run.states, len(service.jobs))
