from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemline.models.transfer import transfer
from stemline.separation.errors import WeightsMissing

CONTENT = np.random.default_rng(3).bytes(1_500_000)


@pytest.fixture
def mirror(s3, monkeypatch) -> str:
    """A bucket of a real S3 server with an archive, reached as any mirror is: by boto3's own settings."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.region)
    s3.client.put_object(Bucket=s3.bucket, Key="weights/2stems.tar.gz", Body=CONTENT)
    return f"s3://{s3.bucket}/weights"


@pytest.mark.parametrize("have", [0, 700_000, 1_500_000, 1_600_000])
def test_an_archive_comes_out_of_a_bucket(mirror: str, tmp_path: Path, have: int) -> None:
    """A mirror in a bucket is read; a partial archive is resumed or started again."""
    part = tmp_path / "part"
    part.write_bytes(CONTENT[:have].ljust(have, b"x"))
    reported: list[int] = []
    transfer(
        f"{mirror}/2stems.tar.gz", part, limit=len(CONTENT), progress=lambda count, _: reported.append(count)
    )
    assert part.read_bytes() == CONTENT
    assert reported[-1] == len(CONTENT)
    assert reported[0] > (have if have < len(CONTENT) else 0)


def test_what_is_not_in_the_bucket_is_missing(mirror: str, tmp_path: Path) -> None:
    """A mirror without the archive is an error that names its address."""
    with pytest.raises(WeightsMissing, match=r"s3://.*4stems"):
        transfer(f"{mirror}/4stems.tar.gz", tmp_path / "part", limit=10, pause_s=0.001)
