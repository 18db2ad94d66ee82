"""Buckets over S3: download sources, publish stems, and let only the holder of the lease publish."""

from __future__ import annotations

from stemline.storage.buckets import Buckets
from stemline.storage.incoming import IncomingUpload
from stemline.storage.objects import ObjectHead
from stemline.storage.publish import Upload
from stemline.storage.retry import TransferCancelled

__all__ = ["Buckets", "IncomingUpload", "ObjectHead", "TransferCancelled", "Upload"]
