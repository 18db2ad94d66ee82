"""What an error of a bucket means for a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import NoCredentialsError

from stemline.jobs.errors import (
    SourceBucketUnknown,
    SourceWorkerAtFault,
    TargetBucketUnknown,
    TargetWorkerAtFault,
)
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.storage import Buckets, Upload
from stemline.storage.job_errors import source_errors, target_errors
from tests.support.logs import captured_logs

BUCKET, REGION = "new-1250000000", "ap-beijing"
#: Settings that do not lead to the bucket.
KNOWN: dict[str, Any] = {"other bucket": {"other-1250000000": {}}, "none": {}, "other region": {BUCKET: {}}}
UPLOAD = Upload(REGION, BUCKET, "key", "upload-id", "j", 1, 4, "")

#: What an attempt, a cleanup and the API ask of a bucket.
USES: dict[str, tuple[type[Exception], Callable[[Buckets, Path], Any]]] = {
    "download": (
        SourceBucketUnknown,
        lambda buckets, path: buckets.download(Tenant(BUCKET, REGION), "key", path, max_bytes=5),
    ),
    "head": (SourceBucketUnknown, lambda buckets, _: buckets.head(REGION, BUCKET, "key")),
    "presign": (SourceBucketUnknown, lambda buckets, _: buckets.presign_get(REGION, BUCKET, "key")),
    "stage": (
        TargetBucketUnknown,
        lambda buckets, path: buckets.stems.stage(
            REGION, BUCKET, "key", path, job_id="j", token=1, content_type="audio/wav"
        ),
    ),
    "send": (TargetBucketUnknown, lambda buckets, path: buckets.stems.send(UPLOAD, path)),
    "complete": (
        TargetBucketUnknown,
        lambda buckets, _: buckets.stems.complete(UPLOAD, expires_at=lambda: 0.0),
    ),
    "abort": (TargetBucketUnknown, lambda buckets, _: buckets.stems.abort(UPLOAD)),
    "delete": (
        TargetBucketUnknown,
        lambda buckets, _: buckets.stems.delete_own(REGION, BUCKET, "key", job_id="j", token=1),
    ),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_whoever_does_not_know_a_bucket_is_at_fault_itself(use: str, known: Any, tmp_path: Path) -> None:
    """Whatever is asked of a bucket or region that the settings lack, another worker may answer it."""
    (tmp_path / "stem").write_bytes(b"stem")
    region = "elsewhere" if BUCKET in known else REGION
    kind, ask = USES[use]
    with pytest.raises(kind, match="The worker has no entry for") as caught:
        ask(Buckets(Settings(buckets=known, region=region)), tmp_path / "stem")
    assert caught.value.retryable  # type: ignore[attr-defined]
    assert not caught.value.counts  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("errors", "kind"), [(source_errors, SourceWorkerAtFault), (target_errors, TargetWorkerAtFault)]
)
def test_a_worker_without_credentials_is_told_from_a_bucket_that_is_down(errors: Any, kind: Any) -> None:
    """The error of a worker's own credentials names them, and is of a kind of its own."""
    ask = errors("b")(Mock(side_effect=NoCredentialsError))
    with captured_logs() as lines, pytest.raises(kind) as caught:
        ask()
    assert "cannot use its credentials, clock or proxy" in str(caught.value)
    assert str(caught.value).endswith("(no keys are known for it)")
    assert ["b"] == [line["bucket"] for line in lines]
