"""S3 clients, and the bucket each is used for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from stemline.jobs.tenant import is_bucket_name
from stemline.runtime.compat.botocore import bound_answers
from stemline.runtime.credentials import CredentialFile
from stemline.runtime.errors import StartRefused
from stemline.runtime.settings import BucketAccess

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
"""Longest pause of a store within a response, s."""
MAX_CLIENTS = 32
"""Clients that are kept, those used last: each takes some MB, and there is one per store and region."""


class BucketNotConfigured(Exception):
    """The settings have no entry for this bucket, or do not allow its region."""


class NoBucketName(BucketNotConfigured):
    """No bucket has such a name: a request to it would go to another server than the settings'."""


@dataclass(frozen=True, slots=True)
class BucketClient:
    """A bucket and the client for it."""

    s3: Any
    """A boto3 S3 client."""
    name: str
    """The name of the bucket in its store."""


class Clients:
    """One client per endpoint and key pair, shared by all threads with its connections."""

    def __init__(self, access: CredentialFile[BucketAccess], regions: Collection[str]) -> None:
        """Create no client yet.

        Args:
            access: How each bucket is reached.
            regions: The regions that a job may name.

        Raises:
            UnreadableFile: The file of bucket credentials cannot be read.
            StartRefused: AWS_PROFILE names no profile, or its file cannot be read.
        """
        self._regions = regions
        self._access = access
        access.entries()
        self._lock = threading.Lock()
        self._clients: dict[tuple[Any, ...], Any] = {}
        try:
            self._session = boto3.session.Session()
        except BotoCoreError as error:
            raise StartRefused(f"The buckets cannot be used. {error}") from error

    def endpoint_urls(self) -> frozenset[str | None]:
        """Return the endpoints of all entries; None for AWS's own."""
        return frozenset(access.endpoint_url for access in self._access.entries().values())

    def keeps_files(self, region: str, bucket: str) -> bool:
        """Return whether a bucket's store keeps objects as files; False for an unknown bucket."""
        entries = self._access.entries()
        access = entries.get(bucket) or entries.get("*")
        return region in self._regions and access is not None and access.keeps_files

    def for_bucket(self, region: str, bucket: str) -> BucketClient:
        """Return the client for a bucket.

        Raises:
            BucketNotConfigured: The settings name neither the bucket nor ``*``, or not the region.
            NoBucketName: The settings do not name it, and it is an ARN or has another special form.
        """
        if region not in self._regions:
            raise BucketNotConfigured(region)
        entries = self._access.entries()
        access = entries.get(bucket) or entries.get("*")
        if bucket not in entries and not is_bucket_name(bucket):
            raise NoBucketName(bucket)
        if access is None:
            raise BucketNotConfigured(bucket)
        return BucketClient(self._client(access, access.region or region, region), access.name or bucket)

    def _client(self, access: BucketAccess, signing_region: str, region: str) -> Any:
        endpoint = access.endpoint_url.replace("{region}", region) if access.endpoint_url else None
        secret = access.secret_key.get_secret_value()
        authorities = str(access.ca_bundle) if access.ca_bundle else None  # None: botocore's own rules
        key = (endpoint, access.access_key, secret, signing_region, access.path_style, authorities)
        # Creating clients is not thread-safe; using them is.
        with self._lock:
            client = self._clients.pop(key, None)
            if client is None:
                client = self._session.client(
                    "s3",
                    endpoint_url=endpoint,
                    region_name=signing_region,
                    verify=authorities,
                    config=_config(path_style=access.path_style),
                    **_keys(access.access_key, secret),
                )
                bound_answers(client)
            self._clients[key] = client  # the end of the order is the latest use
            while len(self._clients) > MAX_CLIENTS:
                # Closes idle connections alone: a thread that still uses the client is not disturbed.
                self._clients.pop(next(iter(self._clients))).close()
            return client


def _keys(access_key: str, secret: str) -> Mapping[str, str]:
    return {"aws_access_key_id": access_key, "aws_secret_access_key": secret} if access_key else {}


def _config(*, path_style: bool) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "virtual"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=32,
        tcp_keepalive=True,
        # storage.retry retries instead: its waits can be cancelled, and its limit is in seconds.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # Many compatible stores do not support trailing checksums; parts carry Content-MD5 instead.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
