"""Checks of the buckets and of the scratch disk."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemline.cli.checks.findings import GIB, TIMEOUT_S, CheckContext, Finding, fail, ok, skip, warn
from stemline.jobs.errors import StoreUnavailable

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

_MAX_BUCKETS: Final = 20


def buckets(context: CheckContext) -> Iterator[Finding]:
    """Write a small object to each bucket in the way stems are written, read it and delete it."""
    settings = context.settings.with_changes(storage_patience_s=TIMEOUT_S)
    if not settings.storage.buckets and settings.storage.buckets_file is None:
        yield fail("buckets", "no bucket is configured", 'set STEMLINE_BUCKETS; `"*"` stands for any bucket')
        return
    names = list(context.buckets)
    if not names:
        try:
            names = _buckets_in_use(settings)
        except StoreUnavailable:
            yield skip("buckets", "the store, which knows the buckets in use, does not answer; see --bucket")
            return
    if not names:
        yield skip("buckets", "no bucket is in use yet; name one with --bucket")
    for name in names:
        yield _check_bucket(settings, name, write=context.write)


def _buckets_in_use(settings: Settings) -> list[str]:
    from stemline.jobs.store import BucketFilter
    from stemline.runtime.store import open_store

    store = open_store(settings)
    try:
        found = store.tenants.search(BucketFilter(size=_MAX_BUCKETS)).items
    finally:
        store.close()
    return [str(each.tenant) for each in found]


def _check_bucket(settings: Settings, name: str, *, write: bool) -> Finding:
    from stemline.jobs.errors import JobFailed
    from stemline.jobs.tenant import Tenant
    from stemline.storage import Buckets

    region, _, bucket = name.partition("/")
    client, key = Buckets(settings), f".stemline-doctor/{uuid.uuid4().hex}"
    action = "read"
    try:
        client.head(region, bucket, key)
        if not write:
            return ok("buckets", f"{name} answers; nothing was written")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "object"
            file.write_bytes(b"stemline doctor")
            action = "written to with multipart uploads"
            upload = client.stems.stage(
                region, bucket, key, file, job_id="doctor", token=1, content_type="text/plain"
            )
            client.stems.complete(upload, expires_at=lambda: time.time() + 60)
            action = "read"
            client.download(Tenant(bucket, region), key, file, max_bytes=1024)
            action = "deleted from"
            client.stems.delete_own(region, bucket, key, job_id="doctor", token=1)
    except JobFailed as error:
        with suppress(JobFailed):
            client.stems.delete_own(region, bucket, key, job_id="doctor", token=1)
        fix = "check endpoint, keys and policy in STEMLINE_BUCKETS; see the runbook, StemlineBucketDenied"
        return fail("buckets", f"{name} cannot be {action}: {error.message}", fix)
    return ok("buckets", f"{name} can be read, written to and deleted from")


def scratch(context: CheckContext) -> Iterator[Finding]:
    """Check the free space for sources and stems of running jobs."""
    settings = context.settings
    folder = settings.storage.scratch_dir or Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        fix = "create it, or set STEMLINE_SCRATCH_DIR"
        yield fail("scratch", f"cannot write to {folder}: {error.strerror}", fix)
        return
    message, needed = f"{free / GIB:.1f} GiB free in {folder}", 2 * settings.source.max_bytes
    if free < GIB:
        yield fail("scratch", message, "free some space, or set STEMLINE_SCRATCH_DIR to a larger disk")
    elif free < needed * settings.workers.slots(settings.engine.device):
        fix = f"a job with the largest source needs {needed / GIB:.0f} GiB; see STEMLINE_SOURCE_MAX_BYTES"
        yield warn("scratch", message, fix)
    else:
        yield ok("scratch", message)
