"""One attempt at a job: download, separate, stage, publish, say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from stemline.jobs.errors import CancelAsked, JobFailed, LeaseLost, StemlineError, StoreUnavailable
from stemline.jobs.job import Job, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track
from stemline.runtime.telemetry import annotate
from stemline.separation.errors import Cancelled as SeparationCancelled
from stemline.separation.errors import SeparationError
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import Report, separate_file
from stemline.separation.separator import Extension
from stemline.storage import TransferCancelled, Upload
from stemline.wire.errors import code_of
from stemline.workers.cleanup import take_away
from stemline.workers.context import SeparationContext
from stemline.workers.lease_keeper import Hold, Reason
from stemline.workers.scratch import scratch

log = structlog.get_logger(__name__)

#: Which model makes the tracks of a mode, and what they are called there.
_TWO = ("2stems", {Track.VOICE: "vocals", Track.BACKGROUND: "accompaniment"})
_FOUR = (
    "4stems",
    {Track.VOICE: "vocals", Track.BACKGROUND: "other", Track.BASS: "bass", Track.DRUM: "drums"},
)
MODELS: Mapping[AudioMode, tuple[str, Mapping[Track, str]]] = {
    AudioMode.IS_AUDIO: _TWO,
    AudioMode.IS_BACKGROUND: _TWO,
    AudioMode.AUDIO_AND_BACKGROUND: _TWO,
    AudioMode.MUSIC_MODE: _FOUR,
}

CONTENT_TYPES: Mapping[str, str] = {
    "aac": "audio/aac",
    "amr": "audio/amr",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}

#: Progress, in percent, when the source is here and when the stems are made.
_FETCHED, _SEPARATED = 5, 95

#: How long the end of a job is told to a store that is away, s. A stale end is refused, so this does no harm.
_END_PATIENCE_S = 600.0

#: What the transfers and the separator raise once :meth:`Hold.interrupted` says so.
_INTERRUPTED = (SeparationCancelled, TransferCancelled)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Everything one attempt needs; ``run`` may be called once."""

    job: Job
    context: SeparationContext

    def run(self) -> str:
        """Do the job; a word on how it ended, for the log and for Flower."""
        uploads: list[Upload] = []
        with Hold(self.context, self.job) as hold:
            try:
                return self._ending(hold, uploads)
            except LeaseLost:
                # Whoever seized the job takes away what was staged and registered.
                log.warning("attempt.superseded")
                return "superseded"
            except JobFailed as error:
                # The bucket cannot be cleared up now: the lease runs out and the sweeper sees to it.
                log.warning("attempt.abandoned", reason=error.message)
                return "abandoned"

    def _ending(self, hold: Hold, uploads: list[Upload]) -> str:  # noqa: PLR0911 - one return an ending
        try:
            result = self._work(hold, uploads)
            self._tell(lambda: self.context.store.jobs.succeed(self.job, result))
        except (*_INTERRUPTED, CancelAsked):
            return self._interrupted(hold, uploads)
        except JobFailed as error:
            if error.retryable:
                return self._later(hold, uploads, error.message)
            return self._failed(hold, uploads, code_of(error), error.message)
        except SeparationError as error:
            return self._failed(hold, uploads, code_of(error), error.message)
        except OSError as error:
            log.exception("attempt.system_error")
            return self._failed(
                hold, uploads, "InternalError", f"The worker could not go on: {error.strerror}."
            )
        except StemlineError:
            raise
        except Exception:
            log.exception("attempt.crashed")
            return self._failed(
                hold, uploads, "InternalError", "The worker met an error of its own; see its log."
            )
        return "Success"

    # -- the work

    def _work(self, hold: Hold, uploads: list[Upload]) -> Result:
        spec = self.job.spec
        with scratch(self.context.settings.storage.scratch_dir) as folder:
            source = folder / "source"
            began = time.monotonic()
            with self.context.tracer.span("download") as span:
                size = self.context.buckets.download(
                    spec.tenant,
                    spec.input_object,
                    source,
                    max_bytes=self.context.settings.source.max_bytes,
                    cancelled=hold.interrupted,
                )
                annotate(span, bytes=size)
            fetched = time.monotonic()
            hold.progress = _FETCHED
            with self.context.tracer.span("separate") as span:
                report = self._separate(hold, source, folder)
                annotate(span, audio_s=report.duration_s, device=report.device)
            separated = time.monotonic()
            hold.progress = _SEPARATED
            with self.context.tracer.span("upload"):
                self._stage(hold, report, uploads)
                for upload in uploads:
                    hold.secure()
                    self.context.buckets.complete(upload, expires_at=hold.until, cancelled=hold.interrupted)
        ended = time.monotonic()
        stages = {
            "download": fetched - began,
            **{name: value for name, value in report.seconds.items() if name != "total"},
            "upload": ended - separated,
        }
        self.context.metrics.separated(report.duration_s, ended - began, stages)
        log.info(
            "attempt.done",
            audio_s=round(report.duration_s, 3),
            took_s=round(ended - began, 3),
            stages={name: round(value, 3) for name, value in stages.items()},
            device=report.device,
        )
        return self._result(report, uploads)

    def _separate(self, hold: Hold, source: Path, folder: Path) -> Report:
        spec = self.job.spec
        model, names = MODELS[spec.separate.audio_mode]
        config = spec.separate.audio_config
        music = spec.separate.audio_mode is AudioMode.MUSIC_MODE  # where the wire ignores all but the codec
        loaded = self.context.engine(model)
        hold.device = loaded.device

        def progress(share: float) -> None:
            hold.progress = round(_FETCHED + share * (_SEPARATED - _FETCHED))

        return separate_file(
            loaded,
            source,
            {
                names[track]: OutputSpec(
                    folder / f"{track}.{spec.codec}",
                    spec.codec,
                    samplerate=None if music else config.samplerate,
                    bitrate_kbps=None if music else config.bitrate,
                    channels=2 if music else config.channels,
                )
                for track in spec.tracks()
            },
            limits=MediaLimits(
                self.context.settings.source.max_duration_s, self.context.settings.source.max_bytes
            ),
            progress=progress,
            cancelled=hold.interrupted,
            extension=Extension(self.context.settings.engine.mask_extension),
            context=self.context.settings.engine.context_frames,
        )

    def _stage(self, hold: Hold, report: Report, uploads: list[Upload]) -> None:
        """Send every stem to its final key, unseen; each is on record before a byte of it is sent."""
        spec = self.job.spec
        _, names = MODELS[spec.separate.audio_mode]

        def opened(upload: Upload) -> None:
            uploads.append(upload)
            known = [u.to_json() for u in uploads]
            self._tell(lambda: self.context.store.jobs.register_uploads(self.job.id, self.job.token, known))

        for track in spec.tracks():
            sent = self.context.buckets.stage(
                spec.output.region,
                spec.output.bucket,
                spec.key(track, self.job.id),
                report.stems[names[track]].path,
                job_id=self.job.id,
                token=self.job.token,
                content_type=CONTENT_TYPES[spec.codec],
                opened=opened,
                cancelled=hold.interrupted,
            )
            uploads[-1] = sent

    def _result(self, report: Report, uploads: list[Upload]) -> Result:
        spec = self.job.spec
        _, names = MODELS[spec.separate.audio_mode]
        stems = [report.stems[names[track]] for track in spec.tracks()]
        files = tuple(
            OutputFile(track=track, key=upload.key, md5=stem.md5, size=stem.size)
            for track, upload, stem in zip(spec.tracks(), uploads, stems, strict=True)
        )
        infos: list[dict[str, Any]] = [stem.media_info.wire() for stem in stems]
        info = {"Format": infos[0]["Format"], "Stream": {"Audio": [i["Audio"] for i in infos]}}
        return Result(files=files, media_info=info)

    # -- the other endings

    def _failed(self, hold: Hold, uploads: list[Upload], code: str, message: str) -> str:
        self._take_away(hold, uploads)
        try:
            self._tell(lambda: self.context.store.jobs.fail(self.job, code, message))
        except CancelAsked:
            return self._cancelled(hold, uploads)
        log.info("attempt.failed", code=code, reason=message)
        return f"Failed {code}"

    def _later(self, hold: Hold, uploads: list[Upload], why: str) -> str:
        self._take_away(hold, uploads)
        age_s = time.time() - self.job.created / 1e6
        counts = age_s > self.context.settings.workers.retry_window_hours * 3600
        if counts and self.job.attempt >= self.context.settings.jobs.max_attempts:
            return self._failed(hold, [], "InternalError", why)
        try:
            delay_s = self.context.settings.workers.retry_delay_s
            self._tell(lambda: self.context.store.jobs.release(self.job, delay_s=delay_s, counts=counts))
        except CancelAsked:
            return self._cancelled(hold, [])
        log.warning("attempt.put_off", reason=why, counts=counts)
        return "put off"

    def _interrupted(self, hold: Hold, uploads: list[Upload]) -> str:
        if hold.reason is Reason.LOST:
            raise LeaseLost
        if hold.reason is Reason.STOP:
            self._take_away(hold, uploads)
            try:
                self._tell(lambda: self.context.store.jobs.release(self.job))
            except CancelAsked:
                return self._cancelled(hold, [])
            log.info("attempt.given_back")
            return "given back"
        if hold.reason is Reason.TIME:
            limit = f"The job took longer than {self.context.settings.workers.job_time_limit_s:.0f} s."
            return self._failed(hold, uploads, "InternalError", limit)
        return self._cancelled(hold, uploads)

    def _cancelled(self, hold: Hold, uploads: list[Upload]) -> str:
        self._take_away(hold, uploads)
        self._tell(lambda: self.context.store.jobs.confirm_cancel(self.job))
        log.info("attempt.cancelled")
        return "Cancel"

    def _take_away(self, hold: Hold, uploads: list[Upload]) -> None:
        if uploads:
            hold.secure()
        take_away(self.context.buckets, self.job, uploads, until=hold.until)

    def _tell(self, say: Callable[[], None]) -> None:
        """Say something to the store, over and over while it is away."""
        give_up = time.monotonic() + _END_PATIENCE_S
        while True:
            try:
                return say()
            except StoreUnavailable:
                if time.monotonic() > give_up:
                    raise LeaseLost from None
                time.sleep(0.5)
