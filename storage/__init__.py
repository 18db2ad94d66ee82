"""Buckets over S3: sources come in, stems go out, and only the attempt that holds the lease publishes."""

from __future__ import annotations

from storage.buckets import Buckets
from storage.faults import Cancelled
from storage.publish import Upload
from storage.reading import ObjectHead

__all__ = ["Buckets", "Cancelled", "ObjectHead", "Upload"]
