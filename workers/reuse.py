"""Copies the stems of an equal job instead of separating again (docs/beyond-vendor.md)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from stemline.jobs.errors import EqualJobRuns, JobFailed
from stemline.jobs.job import Job, OutputFile, Result
from stemline.storage import ObjectHead
from stemline.workers import stages
from stemline.workers.stages import Work
from stemline.workers.store_retry import retry_until_stored

log = structlog.get_logger(__name__)


def digest_of(work: Work) -> str:
    """Return a digest that equal jobs share; empty if it is not known, or stems are not reused.

    It holds the source by its key, ETag and size, what the job asks for, and what this worker separates with.
    """
    spec = work.job.spec
    if not spec.reuse:
        return ""
    source = _head(work, spec.tenant.region, spec.tenant.bucket, spec.input_object)
    return _digest(work, source.etag, source.size) if source is not None else ""


def digest_of_downloaded(work: Work) -> str:
    """Return the same for the source that was downloaded, which may be another than that of before."""
    return _digest(work, work.source_etag, work.source_bytes)


def _digest(work: Work, etag: str, size: int | None) -> str:
    if not etag or etag.startswith("W/") or size is None:  # a weak ETag may stand for other bytes
        return ""
    spec = work.job.spec
    engine, limits = work.context.settings.engine, work.context.settings.source
    parts: list[Any] = [
        version("stemline"),
        [str(spec.tenant), spec.input_object, etag, size, spec.audio_track],
        [spec.separate.audio_mode, asdict(spec.separate.audio_config), spec.codec, spec.tracks()],
        [work.model.name, work.model.version, engine.name, engine.context_frames, engine.refine],
        [engine.mask_extension, limits.keep_video_origin, limits.max_pause_s],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def copied(work: Work, digest: str) -> Result | None:
    """Copy the stems of an equal job into the uploads of this one; they stay invisible.

    Returns:
        What the job records; ``None`` if there is no equal job: this one is to be separated, and others wait
        for it.

    Raises:
        EqualJobRuns: An equal job runs, and this one has returned to its queue.
        CancelAsked: The job is to be cancelled.
        LeaseLost: The job belongs to another attempt.
    """
    job, store, useless = work.job, work.context.store, ""
    while True:
        ask = partial(store.attempts.reuse, job.id, job.token, digest, without=useless)
        found = retry_until_stored(ask)
        if found.waits:
            raise EqualJobRuns
        if not found.done:
            return None
        origin = retry_until_stored(partial(store.jobs.find, found.done))
        result = _copy(work, origin) if origin is not None else None
        if result is not None:
            return result
        if work.uploads:
            return None  # they belong to this attempt, which must not leave now
        useless = found.done


def _copy(work: Work, origin: Job) -> Result | None:
    """Copy the stems of a job; ``None`` if the bucket does not hold all of them, or cannot copy."""
    output = origin.spec.output
    files = {file.track: file for file in origin.result.files} if origin.result else {}
    heads: list[tuple[OutputFile, ObjectHead]] = []
    for track in work.job.spec.tracks():
        file = files.get(track)
        head = _head(work, output.region, output.bucket, file.key) if file else None
        if file is None or head is None or (head.job_id, head.size) != (origin.id, file.size):
            return None
        heads.append((file, head))
    if not work.uploads:
        stages.open_uploads(work)
    work.lease.stage = "upload"
    made: list[OutputFile] = []
    for number, (file, head) in enumerate(heads):
        upload = work.context.buckets.stems.copy(
            work.uploads[number], output.region, output.bucket, file.key, source=head, md5=file.md5
        )
        if upload is None:
            return None
        work.uploads[number] = upload
        made.append(replace(file, key=upload.key))
    log.info("attempt.reused", origin=origin.id)
    return replace(origin.result, files=tuple(made), reused=origin.id) if origin.result else None


def _head(work: Work, region: str, bucket: str, key: str) -> ObjectHead | None:
    """Return the metadata of an object; ``None`` if the bucket does not say: then the job is separated."""
    try:
        return work.context.buckets.head(region, bucket, key)
    except JobFailed as error:
        log.info("reuse.not_checked", reason=error.message)
        return None
