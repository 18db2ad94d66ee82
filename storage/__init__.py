"""Buckets over S3: sources come in, stems go out, and only the attempt that holds the lease publishes."""

from __future__ import annotations

from stemline.storage.buckets import Buckets
from stemline.storage.publish import Upload
from stemline.storage.reading import ObjectHead
from stemline.storage.retry import Cancelled

__all__ = ["Buckets", "Cancelled", "ObjectHead", "Upload"]
