"""Where the Python client finds the servers of the tests."""

from __future__ import annotations

from stemline.client import S3Access, Target
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.conftest import S3


def target(port: int, *, s3: S3 | None = None) -> Target:
    """Return the target of an API server with the settings of ``api_settings``.

    Args:
        port: Of the server.
        s3: The bucket of the requests; without it they are for one that the client cannot reach.
    """
    bucket = BUCKET if s3 is None else s3.bucket
    return Target(
        api=f"http://127.0.0.1:{port}",
        secret_id=SECRET_ID,
        secret_key=SECRET_KEY,
        bucket=bucket,
        region=REGION,
        host=f"{bucket}.localhost",
        s3=None if s3 is None else S3Access(s3.endpoint_url, s3.access_key, s3.secret_key),
    )
