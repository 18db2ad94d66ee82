"""Where sources and stems are: buckets, and the disk they are worked on."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemline.cli.checks.findings import GIB, TIMEOUT_S, Finding, Patient, bad, ok, skipped, warning

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

_MOST_BUCKETS: Final = 20


def buckets(patient: Patient) -> Iterator[Finding]:
    """Each bucket: a small object written as stems are, read back, and removed."""
    from stemline.jobs.errors import StemlineError
    from stemline.jobs.store import BucketFilter
    from stemline.jobs.tenant import Tenant
    from stemline.runtime.store import open_store

    settings = patient.settings.with_changes(storage_patience_s=TIMEOUT_S)
    if not settings.storage.buckets and settings.storage.buckets_file is None:
        yield bad("buckets", "no bucket is configured", 'set STEMLINE_BUCKETS, `"*"` for all of them')
        return
    places = [Tenant(bucket, region) for region, _, bucket in (b.partition("/") for b in patient.buckets)]
    if not places:
        kept = open_store(settings)
        try:
            places = [b.tenant for b in kept.tenants.search(BucketFilter(size=_MOST_BUCKETS)).items]
        except StemlineError:
            yield skipped("buckets", "the store does not say for which buckets the service is opened")
            return
        finally:
            kept.close()
    if not places:
        yield skipped("buckets", "the service is not opened for any bucket yet; name one with --bucket")
    for place in places:
        yield _bucket(settings, place.region, place.bucket, write=patient.write)


def _bucket(settings: Settings, region: str, bucket: str, *, write: bool) -> Finding:
    from stemline.jobs.errors import JobFailed
    from stemline.jobs.tenant import Tenant
    from stemline.storage import Buckets

    name, key = f"{region}/{bucket}", f".stemline-doctor/{uuid.uuid4().hex}"
    reached, step = Buckets(settings), "read"
    try:
        reached.head(region, bucket, key)
        if not write:
            return ok("buckets", f"{name} answers; nothing was written")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "object"
            file.write_bytes(b"stemline doctor")
            step = "written to with multipart uploads"
            upload = reached.stage(
                region, bucket, key, file, job_id="doctor", token=1, content_type="text/plain"
            )
            reached.complete(upload, expires_at=lambda: time.time() + 60)
            step = "read"
            reached.download(Tenant(bucket, region), key, file, max_bytes=1024)
            step = "cleared"
            reached.delete_own(region, bucket, key, job_id="doctor", token=1)
    except JobFailed as error:
        with suppress(JobFailed):
            reached.delete_own(region, bucket, key, job_id="doctor", token=1)
        mend = "look at endpoint, keys and policy of STEMLINE_BUCKETS; see the runbook, StemlineBucketDenied"
        return bad("buckets", f"{name} cannot be {step}: {error.message}", mend)
    return ok("buckets", f"{name} can be read, written to and cleared")


def scratch(patient: Patient) -> Iterator[Finding]:
    """Room for sources and stems while they are worked on."""
    settings = patient.settings
    folder = settings.storage.scratch_dir or Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        mend = "make it, or set STEMLINE_SCRATCH_DIR"
        yield bad("scratch", f"{folder} cannot be written to: {error.strerror}", mend)
        return
    found, wanted = f"{free / GIB:.1f} GiB free in {folder}", 2 * settings.source.max_bytes
    if free < GIB:
        yield bad("scratch", found, "free some, or set STEMLINE_SCRATCH_DIR to a larger disk")
    elif free < wanted * settings.workers.concurrency:
        mend = f"the largest source allowed wants {wanted / GIB:.0f} GiB; see STEMLINE_SOURCE_MAX_BYTES"
        yield warning("scratch", found, mend)
    else:
        yield ok("scratch", found)
