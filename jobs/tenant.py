"""A tenant of the service: a bucket in a region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

BUCKET_NAME: Final = "^(?!.*-s3(alias)?$)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"
"""Regular expression of the names of buckets.

S3 allows dots too, and gives some names a meaning of their own: an ARN, and names that end so, are reached at
servers other than the endpoint's.
"""


def is_bucket_name(text: str) -> bool:
    """Return whether a text that a client gave may name a bucket."""
    return re.fullmatch(BUCKET_NAME, text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Tenant:
    """The owner of jobs, queues and templates."""

    bucket: str
    region: str

    def __str__(self) -> str:
        return f"{self.region}/{self.bucket}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket for which the service is open."""

    tenant: Tenant
    created: int
    """When it was opened first, µs since the epoch."""
