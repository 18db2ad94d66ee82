"""Every outcome of an attempt, with a fake store, buckets and engine."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.errors import (
    CancelAsked,
    LeaseLost,
    SourceBucketUnknown,
    SourceNotFound,
    SourceUnavailable,
    SourceWorkerAtFault,
    StoreUnavailable,
    TargetBucketUnknown,
    TargetDenied,
    TargetUnavailable,
    TargetWorkerAtFault,
)
from stemline.jobs.job import Job, Output
from stemline.jobs.separation import AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.separation.errors import (
    BrokenNetwork,
    Cancelled,
    DecoderCrashed,
    DecoderLost,
    DeviceError,
    DiskFull,
    DiskTooSmall,
    UndecodableMedia,
    WeightsCorrupt,
    WeightsMissing,
)
from stemline.separation.measure import Levels
from stemline.separation.media import EncodedStem, MediaInfo, OutputSpec
from stemline.separation.pipeline import Report
from stemline.separation.shares import Doubt, Share
from stemline.separation.waveform import Waveform
from stemline.storage import TransferCancelled, Upload
from stemline.testing.samples import job_spec
from stemline.workers import lease_keeper, stages, store_retry
from stemline.workers.attempt import Attempt
from stemline.workers.context import Pace
from stemline.workers.failures import failure_code
from stemline.workers.metrics import POSTPONED_CODES, WorkerMetrics
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.shutdown import Shutdown
from tests.support.logs import captured_logs
from tests.support.stems import NO_MEDIA_INFO

JOB_ID = "j" + "1" * 32


def encoded(name: str, spec: OutputSpec) -> EncodedStem:
    """What the pipeline says of an instrument's file."""
    rate = 1000 * len(name)
    audio = replace(NO_MEDIA_INFO.audio, sample_rate=rate)
    info = MediaInfo(NO_MEDIA_INFO.format, audio)
    return EncodedStem(spec.path, md5_of(name), rate, info)


def md5_of(name: str) -> str:
    return hashlib.md5(name.encode()).hexdigest()


class Fake:
    """Records the calls of its methods; a method raises the errors planned for it, one for each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.errors: dict[str, list[Exception | None]] = {}
        self.results: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls.append((name, args, options))
            if planned := self.errors.get(name):
                error = planned.pop(0)
                if error is not None:
                    raise error
            return self.results.get(name, lambda *_, **__: None)(*args, **options)

        return call

    def names(self) -> list[str]:
        """What was called, but for heartbeats, which come from a thread at any time."""
        return [name for name, _, _ in self.calls if name != "heartbeat"]

    def arguments(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return next((args, options) for called, args, options in self.calls if called == name)


class Bench:
    """One attempt at a job, with everything around it faked."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.jobs, self.buckets, self.engine = Fake(), Fake(), Fake()
        self.jobs.results["heartbeat"] = lambda *_, **__: False
        self.buckets.results |= {"download": lambda *_, **__: 100, "open": self._open}
        self.buckets.results["send"] = lambda upload, *_, **__: replace(upload, md5="0" * 32)
        self.engine.results["separate_file"] = self._separate
        monkeypatch.setattr(stages, "separate_file", self.engine.separate_file)
        monkeypatch.setattr(store_retry, "WAIT_S", 0.01)
        self.shutdown = Shutdown()
        self.events = Fake()
        self.job = Job(
            id=JOB_ID,
            spec=job_spec(),
            state=State.RUNNING,
            created=round(time.time() * 1e6),
            attempt=1,
            token=1,
        )
        self.context: Any = SimpleNamespace(
            settings=Settings(**{"scratch_dir": str(tmp_path), "heartbeat_s": 0.05} | changes),
            pace=Pace(),
            store=SimpleNamespace(jobs=self.jobs),
            buckets=self.buckets,
            metrics=WorkerMetrics(),
            tracer=Tracer(),
            shutdown=self.shutdown,
            events=self.events,
            engine=lambda _: SimpleNamespace(device="test"),
            decoder=None,
        )

    def run(self) -> AttemptResult:
        return Attempt(self.job, self.context).run()

    def _open(self, region: str, bucket: str, key: str, **options: Any) -> Upload:
        upload = Upload(region, bucket, key, f"id of {key}", options["job_id"], options["token"], 1, "")
        options["opened"](upload)
        return upload

    def _separate(self, engine: Any, source: Path, outputs: Any, **__: Any) -> Report:
        """Pretend to write what was asked for; checksum and size of each stem are its own."""
        stems = {name: encoded(name, spec) for name, spec in outputs.items()}
        return Report(1.0, 44_100, {"total": 1.0}, "test", stems)

    def cleaned_up(self) -> list[str]:
        """The keys whose upload was aborted and whose object was deleted."""
        aborted = [args[0].key for name, args, _ in self.buckets.calls if name == "abort"]
        deleted = [args[2] for name, args, _ in self.buckets.calls if name == "delete_own"]
        assert aborted == deleted
        return aborted


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Make a bench with settings of the test's choice."""
    return lambda **changes: Bench(tmp_path, monkeypatch, **changes)


def test_success(make):
    """Both uploads are opened first, sent and completed, then the success is recorded; nothing is deleted."""
    bench = make()
    assert AttemptResult(Outcome.SUCCESS) == bench.run()
    assert ["open", "open", "download", "send", "send", "complete", "complete"] == bench.buckets.names()
    (_, result, _), _ = bench.jobs.arguments("succeed")
    assert ["out/voice.mp3", "out/bg.mp3"] == [file.key for file in result.files]
    assert ["job_started"] == bench.events.names()


INSTRUMENTS = {
    AudioMode.IS_AUDIO: {Track.VOICE: "vocals"},
    AudioMode.IS_BACKGROUND: {Track.BACKGROUND: "accompaniment"},
    AudioMode.AUDIO_AND_BACKGROUND: {Track.VOICE: "vocals", Track.BACKGROUND: "accompaniment"},
    AudioMode.MUSIC_MODE: {
        Track.VOICE: "vocals",
        Track.BACKGROUND: "other",
        Track.BASS: "bass",
        Track.DRUM: "drums",
    },
}
"""Spleeter's name of each track, by mode."""


@pytest.mark.parametrize("mode", AudioMode)
def test_each_track_is_its_own_instrument(make, mode):
    """Under a track's key are the file, the MD5 and the size of its instrument, and so on record."""
    bench = make()
    names = {track: f"out/{track}.mp3" for track in Track}
    output = Output(
        "ap-chongqing",
        "media-1250000000",
        object=names[Track.BACKGROUND],
        au_object=names[Track.VOICE],
        bass_object=names[Track.BASS],
        drum_object=names[Track.DRUM],
    )
    separate = VoiceSeparate(mode, AudioConfig(codec="mp3"))
    bench.job = replace(bench.job, spec=replace(bench.job.spec, separate=separate, output=output))
    models: list[str] = []

    def engine(model: str) -> Any:
        models.append(model)
        return SimpleNamespace(device="test")

    bench.context.engine = engine
    assert AttemptResult(Outcome.SUCCESS) == bench.run()
    wanted = INSTRUMENTS[mode]
    assert ["4stems" if mode is AudioMode.MUSIC_MODE else "2stems"] == models
    (_, _, outputs), _ = bench.engine.arguments("separate_file")
    sent = {args[0].key: args[1] for name, args, _ in bench.buckets.calls if name == "send"}
    assert {names[track]: outputs[name].path for track, name in wanted.items()} == sent
    (_, result, _), _ = bench.jobs.arguments("succeed")
    assert [(track, names[track], md5_of(name), 1000 * len(name)) for track, name in wanted.items()] == [
        (file.track, file.key, file.md5, file.size) for file in result.files
    ]
    rates = [stem["SampleRate"] for stem in result.media_info["Stream"]["Audio"]]
    assert [str(1000 * len(name)) for name in wanted.values()] == rates


def test_the_separation_gets_what_job_and_settings_say(make):
    """Every parameter of the job, every limit and option of the settings, and the engine's decoder arrive."""
    bench = make(
        source_max_bytes=1_000_001,
        source_max_duration_s=1002,
        source_max_pause_s=13,
        mask_extension="zeros",
        context_frames=64,
        refine=True,
        keep_video_origin=True,
    )
    config = AudioConfig("wav", samplerate=48_000, bitrate=96, channels=1, bit_depth=24)
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, config)
    bench.job = replace(
        bench.job, token=5, spec=replace(bench.job.spec, separate=separate, audio_track="deu")
    )
    engine, decoder = SimpleNamespace(device="test"), object()
    bench.context.engine, bench.context.decoder = lambda _: engine, decoder
    bench.run()
    (given, _, outputs), options = bench.engine.arguments("separate_file")
    assert engine is given
    for spec in outputs.values():
        assert ("wav", 48_000, 96, 1, 24) == (
            spec.codec,
            spec.samplerate,
            spec.bitrate_kbps,
            spec.channels,
            spec.bit_depth,
        )
    limits = options["limits"]
    assert (1002, 1_000_001, 13) == (limits.max_duration_s, limits.max_bytes, limits.max_pause_s)
    assert ("zeros", 64, True, "deu", True) == (
        options["extension"],
        options["context"],
        options["refine"],
        options["track"],
        options["keep_video_origin"],
    )
    assert decoder is options["decoder"]
    assert 1_000_001 == bench.buckets.arguments("download")[1]["max_bytes"]
    opened = bench.buckets.arguments("open")[1]
    assert ("audio/wav", 5, bench.job.id) == (opened["content_type"], opened["token"], opened["job_id"])


def test_music_ignores_all_but_the_codec(make):
    """Rate, bitrate and channels have no effect in MusicMode: the model's rate, in stereo."""
    bench = make()
    config = AudioConfig("mp3", samplerate=48_000, bitrate=96, channels=1)
    bench.job = replace(
        bench.job, spec=replace(bench.job.spec, separate=VoiceSeparate(AudioMode.MUSIC_MODE, config))
    )
    bench.run()
    (_, _, outputs), _ = bench.engine.arguments("separate_file")
    assert {(None, None, 2)} == {
        (each.samplerate, each.bitrate_kbps, each.channels) for each in outputs.values()
    }


def test_uploads_are_on_record_before_anything_is_sent(make):
    """Each upload is registered when it is opened, with those before it, under the attempt's token."""
    bench = make()
    bench.job = replace(bench.job, token=5)
    bench.run()
    known = [args for name, args, _ in bench.jobs.calls if name == "register_uploads"]
    keys = ["out/voice.mp3", "out/bg.mp3"]
    assert [(JOB_ID, 5, keys[:1]), (JOB_ID, 5, keys)] == [
        (job_id, token, [each["key"] for each in uploads]) for job_id, token, uploads in known
    ]
    names = bench.buckets.names()
    assert max(i for i, name in enumerate(names) if name == "open") < names.index("send")


def test_a_job_that_is_to_stop_is_stopped_in_every_stage(make):
    """Download, separation, sending and completing ask the lease whether to go on."""
    bench = make()
    bench.run()
    calls = [*bench.buckets.calls, *bench.engine.calls]
    asked = {name: options["cancelled"].__name__ for name, _, options in calls if "cancelled" in options}
    assert dict.fromkeys(("open", "download", "send", "complete", "separate_file"), "should_stop") == asked


def test_progress_rises_through_the_stages(make):
    """From 5 after the download over the share of the separation to 95."""
    bench = make()
    seen: list[int] = []

    def separate(*args: Any, progress: Any, **options: Any) -> Report:
        keeper = bench.buckets.arguments("download")[1]["cancelled"].__self__
        seen.append(keeper.progress)
        for share in (0.0, 0.5, 1.0):
            progress(share)
            seen.append(keeper.progress)
        return bench._separate(*args, progress=progress, **options)

    bench.engine.results["separate_file"] = separate
    bench.run()
    assert [5, 5, 50, 95] == seen


def test_what_was_measured_is_on_record(make):
    """Levels of each stem, the null test, and the waveforms of the mix and of each stem, by track."""
    bench = make()

    def measured(*args: Any, **options: Any) -> Report:
        report = bench._separate(*args, **options)
        stems = {
            name: replace(
                stem, levels=Levels(peak_db=-float(len(name)), clipped=len(name), loudness_lufs=-20.0)
            )
            for name, stem in report.stems.items()
        }
        waves = {name: Waveform(256, name) for name in stems}
        return replace(
            report,
            stems=stems,
            waveforms=waves,
            mix_waveform=Waveform(256, "mix"),
            null_test_db=-120.5,
            shares={"vocals": Share(-3.0), "accompaniment": Share(None, Doubt.SILENT)},
            residual_db=-23.0,
        )

    bench.engine.results["separate_file"] = measured
    bench.run()
    (_, result, waveforms), _ = bench.jobs.arguments("succeed")
    assert [(-6.0, 6), (-13.0, 13)] == [(each.levels.peak_db, each.levels.clipped) for each in result.files]
    assert [(-3.0, ""), (None, "silent")] == [(f.levels.share_db, f.levels.doubt) for f in result.files]
    assert (-120.5, -23.0) == (result.null_test_db, result.residual_db)
    assert [("Mix", "mix"), ("AuObject", "vocals"), ("Object", "accompaniment")] == [
        (each.name, each.data) for each in waveforms
    ]


def test_everything_visible_or_deleted_is_bound_to_the_lease(make):
    """Completing and deleting expire with the lease as last renewed, not later."""
    for failing in (False, True):
        bench = make(lease_s=30, heartbeat_s=10)
        if failing:
            bench.buckets.errors["send"] = [TargetDenied("denied")]
        before = time.time()
        bench.run()
        bound = [
            options["expires_at"]()
            for name, _, options in bench.buckets.calls
            if name in {"complete", "delete_own"}
        ]
        assert len(bound) == 2
        assert all(before + 30 <= end <= time.time() + 30 for end in bound)


@pytest.mark.parametrize(
    ("error", "code"), [(SourceNotFound(), "ResourceNotFound"), (UndecodableMedia(), "InvalidContent")]
)
def test_a_final_error_fails_the_job(make, error, code):
    """A missing or undecodable source fails the job with its code and message, the same in the result."""
    bench = make()
    part = bench.buckets if isinstance(error, SourceNotFound) else bench.engine
    part.errors["download" if part is bench.buckets else "separate_file"] = [error]
    assert AttemptResult(Outcome.FAILED, code, error.message) == bench.run()
    assert ((bench.job, code, error.message), {"leftovers": []}) == bench.jobs.arguments("fail")


def test_an_unavailable_source_postpones_the_job(make):
    """When the source's bucket is unavailable the job is released with a delay, uncounted."""
    bench = make(retry_delay_s=7)
    bench.buckets.errors["download"] = [SourceUnavailable("gone for now")]
    assert AttemptResult(Outcome.POSTPONED, "ResourceDownloadFailed", "gone for now") == bench.run()
    expected = {"delay_s": 7, "counts": False, "reason": "gone for now", "leftovers": []}
    assert ((bench.job,), expected) == bench.jobs.arguments("release")


def test_after_the_retry_window_attempts_count_and_end(make):
    """After the retry window a postponed attempt counts, and the last one fails the job."""
    bench = make(retry_window_hours=0, max_attempts=2)
    bench.buckets.errors["download"] = [SourceUnavailable("gone")]
    assert Outcome.POSTPONED == bench.run().outcome
    assert bench.jobs.arguments("release")[1]["counts"]
    last = make(retry_window_hours=0, max_attempts=1)
    last.buckets.errors["download"] = [SourceUnavailable("gone")]
    assert AttemptResult(Outcome.FAILED, "InternalError", "gone") == last.run()


def test_a_postponed_attempt_leaves_nothing(make):
    """When the second stem cannot be published, both are cleaned up before the job is released."""
    bench = make()
    bench.buckets.errors["complete"] = [None, TargetUnavailable()]
    assert Outcome.POSTPONED == bench.run().outcome
    assert ["out/voice.mp3", "out/bg.mp3"] == bench.cleaned_up()
    assert "release" == bench.jobs.names()[-1]


def test_a_shutdown_releases_the_job(make):
    """When the grace of a shutdown has expired the attempt stops and releases the job uncounted."""
    bench = make(worker_grace_s=0)
    bench.shutdown.request()

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    assert Outcome.RELEASED == bench.run().outcome
    assert ((bench.job,), {"leftovers": []}) == bench.jobs.arguments("release")


def test_the_time_limit_fails_the_job(make):
    """An attempt that takes longer than the limit stops and fails the job."""
    bench = make(job_time_limit_s=0.01)

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        time.sleep(0.05)
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    result = bench.run()
    assert (Outcome.FAILED, "InternalError") == (result.outcome, result.code)
    assert "longer than" in result.message


def test_the_timeout_of_a_job_fails_it_with_its_own_code(make):
    """An attempt that takes longer than its job's own Timeout fails the job."""
    bench = make()
    bench.job = replace(bench.job, spec=replace(bench.job.spec, timeout_s=0.01))

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        time.sleep(0.05)
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    result = bench.run()
    assert (Outcome.FAILED, "JobTimeout") == (result.outcome, result.code)


def test_a_cancel_stops_the_attempt(make):
    """A cancel that a heartbeat reports stops the separation, and is confirmed after the cleanup."""
    bench = make()
    bench.jobs.results["heartbeat"] = lambda *_, **__: True

    def work(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        deadline = time.monotonic() + 60
        while not cancelled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise Cancelled

    bench.engine.results["separate_file"] = work
    assert AttemptResult(Outcome.CANCELLED) == bench.run()
    assert "confirm_cancel" == bench.jobs.names()[-1]


@pytest.mark.parametrize("write", ["succeed", "fail", "release"])
def test_a_cancel_takes_precedence(make, write):
    """A cancel that comes before the end is recorded turns success, failure and release into Cancel."""
    bench = make()
    bench.jobs.errors[write] = [CancelAsked()]
    if write != "succeed":
        bench.buckets.errors["complete"] = [SourceNotFound() if write == "fail" else TargetUnavailable()]
    assert AttemptResult(Outcome.CANCELLED) == bench.run()
    assert ["out/voice.mp3", "out/bg.mp3"] == bench.cleaned_up()
    assert "confirm_cancel" == bench.jobs.names()[-1]


@pytest.mark.parametrize("where", ["register_uploads", "complete", "succeed"])
def test_a_lost_lease_ends_the_attempt_without_a_trace(make, where):
    """An attempt that has lost its lease neither deletes anything nor writes to the record."""
    bench = make()
    (bench.buckets if where == "complete" else bench.jobs).errors[where] = [LeaseLost()]
    assert AttemptResult(Outcome.SUPERSEDED) == bench.run()
    assert [] == bench.cleaned_up()
    assert not {"fail", "release", "confirm_cancel"} & {*bench.jobs.names()}


@pytest.mark.parametrize(
    ("error", "outcome", "recorded"),
    [
        (TargetDenied("denied"), Outcome.FAILED, "fail"),
        (TargetUnavailable("gone"), Outcome.POSTPONED, "release"),
        (TransferCancelled(), Outcome.CANCELLED, "confirm_cancel"),
    ],
)
def test_what_a_bucket_does_not_let_go_is_recorded_with_the_end(make, error, outcome, recorded):
    """A cleanup that fails keeps no job running: it ends as it would, and its record says what is left."""
    bench = make()
    bench.buckets.errors |= {"complete": [error], "abort": [TargetUnavailable("no bucket")]}
    assert outcome == bench.run().outcome
    left = bench.jobs.arguments(recorded)[1]["leftovers"]
    assert ["out/voice.mp3"] == [each["key"] for each in left]
    assert ["out/bg.mp3"] == [args[2] for name, args, _ in bench.buckets.calls if name == "delete_own"]


def test_a_lost_decoding_server_costs_an_attempt(make):
    """A decoder that died for no known reason is tried again, counted, and fails after the last attempt."""
    for attempt, outcome in ((1, Outcome.POSTPONED), (3, Outcome.FAILED)):
        bench = make()
        bench.job = replace(bench.job, attempt=attempt)
        bench.engine.errors["separate_file"] = [DecoderLost()]
        assert outcome == bench.run().outcome
    assert "DecoderCrashed" == bench.jobs.arguments("fail")[0][1]
    bench = make()
    bench.engine.errors["separate_file"] = [DecoderCrashed()]
    assert Outcome.FAILED == bench.run().outcome


def test_a_broken_network_fails_the_job(make):
    """A network that gives no numbers gives none to another attempt: the job fails with a code of its own."""
    bench = make()
    bench.engine.errors["separate_file"] = [BrokenNetwork("The network of own gives no numbers on cpu.")]
    failed = AttemptResult(Outcome.FAILED, "ModelFailed", "The network of own gives no numbers on cpu.")
    assert failed == bench.run()
    assert "complete" not in bench.buckets.names()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("secret"), "The worker met an internal error; see its log."),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "The worker could not continue: Too many open files.",
        ),
    ],
)
def test_an_unexpected_error_puts_the_job_off(make, error, message):
    """An unexpected error puts the job off, without the error's own text; the last attempt fails the job.

    The job may be the cause of an error of an unknown kind, never of the machine's: only the former counts.
    """
    bench = make()
    bench.engine.errors["separate_file"] = [error]
    counts = not isinstance(error, OSError)
    assert AttemptResult(Outcome.POSTPONED, "InternalError", message, counts=counts) == bench.run()
    last = make(max_attempts=1, retry_window_hours=0)
    last.engine.errors["separate_file"] = [error]
    assert AttemptResult(Outcome.FAILED, "InternalError", message) == last.run()


@pytest.mark.parametrize("error", [WeightsMissing(), WeightsCorrupt(), DeviceError(), DiskFull()])
def test_what_the_worker_lacks_puts_the_job_off_before_anything_is_fetched(make, error):
    """A job is put off, uncounted and with the reason in its record, by a worker that cannot do it."""
    bench, fake = make(), Fake()
    fake.errors["engine"] = [error]
    bench.context.engine = fake.engine
    assert AttemptResult(Outcome.POSTPONED, failure_code(error), error.message) == bench.run()
    assert [] == bench.buckets.names()
    assert error.message == bench.jobs.arguments("release")[1]["reason"]


@pytest.mark.parametrize(
    ("error", "code", "at_last"),
    [
        (SourceUnavailable(), "ResourceDownloadFailed", "InternalError"),
        (TargetUnavailable(), "WriteTargetObjectFailed", "InternalError"),
        (SourceWorkerAtFault(), "InternalError", "InternalError"),
        (TargetWorkerAtFault(), "InternalError", "InternalError"),
        (SourceBucketUnknown(), "ResourceAccessDenied", "ResourceAccessDenied"),
        (TargetBucketUnknown(), "WriteTargetBucketDenied", "WriteTargetBucketDenied"),
        (WeightsMissing(), "WeightsUnavailable", "WeightsUnavailable"),
        (DeviceError(), "DeviceUnavailable", "DeviceUnavailable"),
        (DiskFull(), "InternalError", "InternalError"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else each,
)
def test_what_is_not_the_jobs_fault_puts_it_off_with_a_code(make, error, code, at_last):
    """Faults of a bucket and of the worker have codes of their own, also in the log, and are not counted.

    A job that meets them until its retry window has passed and its attempts are used up ends with the reason.
    """
    bench = make()
    bench.buckets.errors["download"] = [error]
    with captured_logs() as lines:
        assert AttemptResult(Outcome.POSTPONED, code, error.message) == bench.run()
    assert ("warning", code) == next(
        (line["log_level"], line["code"]) for line in lines if line["event"] == "attempt.postponed"
    )
    assert error.message == bench.jobs.arguments("release")[1]["reason"]
    assert code in POSTPONED_CODES
    last = make(max_attempts=1, retry_window_hours=0)
    last.buckets.errors["download"] = [error]
    with captured_logs() as lines:
        assert AttemptResult(Outcome.FAILED, at_last, error.message) == last.run()
    assert ["warning"] == [line["log_level"] for line in lines if line["event"] == "attempt.failed"]


@pytest.mark.parametrize("stage", ["source", "stems", "stems of unknown length"])
def test_a_job_that_is_too_large_for_the_disk_ends(make, monkeypatch, stage):
    """Its attempts count, so that it does not keep workers busy for a day; it ends with the reason."""
    results = []
    for attempt in (1, 3):
        bench = make(scratch_bytes=1 << 20, max_attempts=3)
        bench.job = replace(bench.job, attempt=attempt)

        def download(*args: Any, progress: Any, **_: Any) -> int:
            progress(1, 2 << 20 if stage == "source" else 1)
            return 1

        def separate(_engine: Any, source: Path, _outputs: Any, **options: Any) -> None:
            if stage == "stems":
                options["expect"](2 << 20)
            (source.parent / "voice.wav").write_bytes(bytes(2 << 20))
            options["cancelled"]()

        bench.buckets.results["download"] = download
        bench.engine.results["separate_file"] = separate
        results.append(bench.run())
    message = "The source and its stems take 2.1 MB; the worker's scratch folder holds 1.0 MB."
    if stage == "stems of unknown length":
        message = str(DiskTooSmall())
    assert AttemptResult(Outcome.POSTPONED, "InternalError", message, counts=True) == results[0]
    assert AttemptResult(Outcome.FAILED, "InternalError", message) == results[1]


def test_a_destination_that_refuses_costs_neither_download_nor_separation(make):
    """The uploads are opened first, so a denied bucket fails the job at once."""
    bench = make()
    bench.buckets.errors["open"] = [TargetDenied("denied")]
    assert AttemptResult(Outcome.FAILED, "WriteTargetBucketDenied", "denied") == bench.run()
    assert "download" not in bench.buckets.names()
    assert [] == bench.engine.names()


def test_each_time_a_job_is_put_off_it_waits_longer(make):
    """The delay doubles with each attempt up to its maximum."""
    delays = []
    for claims in range(1, 7):
        bench = make(retry_delay_s=15, retry_delay_max_s=100)
        bench.job = replace(bench.job, claims=claims)
        bench.buckets.errors["download"] = [SourceUnavailable()]
        bench.run()
        delays.append(bench.jobs.arguments("release")[1]["delay_s"])
    assert [15, 30, 60, 100, 100, 100] == delays


def test_the_end_waits_for_the_store(make):
    """While the store is unavailable the end of a job is written again until it is stored."""
    bench = make()
    bench.jobs.errors["succeed"] = [StoreUnavailable(), StoreUnavailable()]
    assert Outcome.SUCCESS == bench.run().outcome
    assert 3 == bench.jobs.names().count("succeed")


def test_a_store_that_stays_unavailable_costs_the_lease(make, monkeypatch):
    """When the store stays unavailable for too long the attempt gives up its job."""
    monkeypatch.setattr(store_retry, "LIMIT_S", 0.05)
    bench = make()
    bench.jobs.errors["succeed"] = [StoreUnavailable() for _ in range(1000)]
    assert Outcome.SUPERSEDED == bench.run().outcome


def test_nothing_is_completed_under_a_lease_that_is_nearly_over(make, monkeypatch):
    """With less of the lease left than the margin, the attempt gives up before a stem becomes visible."""
    monkeypatch.setattr(lease_keeper, "LIMIT_S", 0.05)
    bench = make(lease_s=lease_keeper.MARGIN_S - 1, heartbeat_s=60)
    assert Outcome.SUPERSEDED == bench.run().outcome
    assert "send" in bench.buckets.names()
    assert "complete" not in bench.buckets.names()


def test_the_scratch_folder_is_removed(make, tmp_path):
    """Whether an attempt succeeds or fails, its folder is gone afterwards."""
    for errors in ([], [SourceNotFound()]):
        bench = make()
        bench.buckets.errors["download"] = errors
        with suppress(Exception):
            bench.run()
        assert [] == [*tmp_path.iterdir()]
