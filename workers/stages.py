"""The stages of an attempt: load the engine, open the uploads, download, separate, send, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from opentelemetry.trace import Span

from stemline.jobs.job import Job, JobSpec, OutputFile, Result, StemLevels, Waveform
from stemline.jobs.separation import AudioMode
from stemline.runtime.telemetry import annotate
from stemline.separation.engine import LoadedEngine
from stemline.separation.extension import Extension
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.media.types import EncodedStem
from stemline.separation.pipeline import Report, separate_file
from stemline.separation.shares import Share
from stemline.storage import Upload
from stemline.workers.context import SeparationContext
from stemline.workers.eta import Eta
from stemline.workers.lease_keeper import LeaseKeeper
from stemline.workers.media_info import recorded_media_info
from stemline.workers.model_choice import ModelChoice, choose
from stemline.workers.scratch_space import ScratchSpace
from stemline.workers.store_retry import retry_until_stored

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "aac": "audio/aac",
    "amr": "audio/amr",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}

DOWNLOADED: Final = 5
"""Progress after the download, percent."""
SEPARATED: Final = 95
"""Progress after the separation, percent."""


@dataclass(slots=True)
class Work:
    """What the stages of one attempt share."""

    job: Job
    context: SeparationContext
    lease: LeaseKeeper
    uploads: list[Upload] = field(default_factory=list)
    """Everything that a cleanup must abort or delete."""
    leftovers: list[Upload] = field(default_factory=list)
    """What a cleanup could not."""
    source_bytes: int = 0
    source_etag: str = ""
    """Of the object that was downloaded."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each stage, s."""
    _model: ModelChoice | None = None

    @property
    def model(self) -> ModelChoice:
        """The model that answers the job; see `choose`."""
        if self._model is None:
            self._model = choose(self.job.spec, self.context.settings.engine)
        return self._model

    @contextmanager
    def timed(self, stage: str) -> Iterator[Span]:
        """Run a stage within a span of the trace, and keep its duration."""
        started = time.monotonic()
        with self.context.tracer.span(stage) as span:
            yield span
        self.seconds[stage] = time.monotonic() - started


def download(work: Work, folder: Path, space: ScratchSpace) -> Path:
    """Download the source and return its file.

    Raises:
        DiskFull: There is no space for it.
    """
    max_bytes = work.context.settings.source.max_bytes

    def report_progress(received: int, size: int) -> None:
        # A store that sends no size reports the most that is allowed.
        space.expect_source(size if size < max_bytes else received)

    job, path = work.job, folder / "source"
    work.lease.stage = "download"
    with work.timed("download") as span:
        found = work.context.buckets.download(
            job.spec.tenant,
            job.spec.input_object,
            path,
            max_bytes=max_bytes,
            progress=report_progress,
            cancelled=work.lease.should_stop,
        )
        annotate(span, bytes=found.size)
    work.source_bytes, work.source_etag = found.size, found.etag
    work.lease.progress = DOWNLOADED
    return path


def separate(
    work: Work,
    engine: LoadedEngine,
    source: Path,
    folder: Path,
    space: ScratchSpace,
    *,
    pause: Callable[[], None],
) -> Report:
    """Separate the source into encoded stems in the folder; `pause` may wait between two segments.

    Raises:
        DiskFull: There is no space for them.
    """
    spec, settings = work.job.spec, work.context.settings
    names = work.model.stems
    eta = Eta(work.context.pace.upload_share)

    def report_progress(share: float) -> None:
        work.lease.stage = "decode" if share <= 0 else "separate" if share < 1 else "encode"
        work.lease.ends_at = eta.ends_at(share)
        work.lease.progress = round(DOWNLOADED + share * (SEPARATED - DOWNLOADED))

    def should_stop() -> bool:
        if space.is_exceeded():
            raise space.fault()
        return work.lease.should_stop()

    report_progress(0)
    with work.timed("separate") as span:
        report = separate_file(
            engine,
            source,
            {names[track]: output_spec(spec, folder / f"{track}.{spec.codec}") for track in spec.tracks()},
            limits=MediaLimits(
                settings.source.max_duration_s, settings.source.max_bytes, settings.source.max_pause_s
            ),
            progress=report_progress,
            cancelled=should_stop,
            pause=pause,
            extension=Extension(settings.engine.mask_extension),
            context=settings.engine.context_frames,
            refine=settings.engine.refine,
            level=spec.level,
            track=spec.audio_track,
            keep_video_origin=settings.source.keep_video_origin,
            decoder=work.context.decoder,
            expect=space.expect,
        )
        annotate(span, audio_s=report.duration_s, device=report.device)
    work.lease.progress = SEPARATED
    return report


def output_spec(spec: JobSpec, path: Path) -> OutputSpec:
    """Return how a stem is written to a file; the wire ignores all but codec and depth in MusicMode."""
    config = spec.separate.audio_config
    music = spec.separate.audio_mode is AudioMode.MUSIC_MODE
    return OutputSpec(
        path,
        spec.codec,
        samplerate=None if music else config.samplerate,
        bitrate_kbps=None if music else config.bitrate,
        channels=2 if music else config.channels,
        bit_depth=config.bit_depth,
    )


def load_engine(work: Work) -> LoadedEngine:
    """Return the engine of the job's model, before anything is fetched for the job."""
    engine = work.context.engine(work.model.name, work.model.version)
    work.lease.device = engine.device
    return engine


def open_uploads(work: Work) -> None:
    """Open and register the upload of every stem: a bucket that refuses is noticed before the separation."""
    job, spec, store = work.job, work.job.spec, work.context.store

    def register(upload: Upload) -> None:
        work.uploads.append(upload)
        known = [each.to_json() for each in work.uploads]
        retry_until_stored(lambda: store.attempts.register_uploads(job.id, job.token, known))

    for track in spec.tracks():
        work.context.buckets.stems.open(
            spec.output.region,
            spec.output.bucket,
            spec.key(track, job.id),
            job_id=job.id,
            token=job.token,
            content_type=CONTENT_TYPES[spec.codec],
            opened=register,
            cancelled=work.lease.should_stop,
        )


def send(work: Work, report: Report) -> None:
    """Send every stem to its upload; all of them stay invisible."""
    spec = work.job.spec
    work.lease.stage = "upload"
    names = work.model.stems
    for number, track in enumerate(spec.tracks()):
        work.uploads[number] = work.context.buckets.stems.send(
            work.uploads[number], report.stems[names[track]].path, cancelled=work.lease.should_stop
        )


def publish(work: Work) -> None:
    """Make the staged stems visible, each only while the lease is valid."""
    for upload in work.uploads:
        work.lease.ensure_valid()
        work.context.buckets.stems.complete(
            upload, expires_at=work.lease.expires_at, cancelled=work.lease.should_stop
        )


def waveforms_of(work: Work, report: Report) -> tuple[Waveform, ...]:
    """Return the waveforms that a successful job keeps: of the mix and of each stem."""
    names = work.model.stems
    drawn = {"Mix": report.mix_waveform}
    drawn |= {str(track): report.waveforms.get(names[track]) for track in work.job.spec.tracks()}
    return tuple(Waveform(name, one.samples_per_pair, one.data) for name, one in drawn.items() if one)


def result_of(work: Work, report: Report) -> Result:
    """Return what a successful job records about its stems."""
    spec = work.job.spec
    names = work.model.stems
    stems = [report.stems[names[track]] for track in spec.tracks()]
    files = tuple(
        OutputFile(
            track=track,
            key=upload.key,
            md5=upload.md5,
            size=stem.size,
            levels=_levels(stem, report.shares.get(names[track])),
        )
        for track, upload, stem in zip(spec.tracks(), work.uploads, stems, strict=True)
    )
    return Result(
        files=files,
        media_info=recorded_media_info([stem.media_info for stem in stems]),
        null_test_db=report.null_test_db,
        residual_db=report.residual_db,
        audio_s=report.duration_s,
        source_bytes=work.source_bytes,
        model=work.model.name,
    )


def _levels(stem: EncodedStem, share: Share | None) -> StemLevels:
    """Return what is recorded about the samples of a stem."""
    levels = stem.levels
    return StemLevels(
        levels.peak_db,
        levels.clipped,
        levels.loudness_lufs,
        share.energy_db if share else None,
        share.doubt or "" if share else "",
    )
