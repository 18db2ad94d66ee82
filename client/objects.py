"""Objects of the bucket: sources are sent, stems are fetched."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stemline.client.errors import ObjectMissing, StoreRefused, StoreUnreachable, TransferFailed
from stemline.client.target import S3Access
from stemline.client.unanswered import UnansweredTries
from stemline.jobs.reasons import reason_of

Progress = Callable[[int], object]
"""Is called with the number of bytes that were sent or received since the last call."""
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a list."""

    key: str
    size: int
    etag: str = ""
    """Changes with the content."""


class Bucket:
    """A bucket over S3; its methods may be called from several threads."""

    def __init__(
        self,
        access: S3Access,
        name: str,
        region: str,
        *,
        unanswered: Callable[[], UnansweredTries] = UnansweredTries,
    ) -> None:
        """Open no connection yet.

        Args:
            access: How the store is reached.
            name: Name of the bucket.
            region: Region of the bucket.
            unanswered: Makes what decides how long a store that gives no answer is tried again.
        """
        self.name = name
        self._unanswered = unanswered()
        self._access = access
        self._region = region
        self._client: Any = None
        self._lock = threading.Lock()

    def upload(self, path: Path, key: str, progress: Progress | None = None) -> None:
        """Send a file, in parts if it is large.

        Raises:
            TransferFailed: It cannot be read, or the bucket does not take it.
        """
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - slow to import, and not always needed

        options = TransferConfig(use_threads=False)
        with _faults(f"{path} could not be sent to {self.name}/{key}"):
            self._s3().upload_file(str(path), self.name, key, Callback=progress, Config=options)

    def download(self, key: str, path: Path, *, md5: str = "", progress: Progress | None = None) -> None:
        """Fetch an object into a file, which appears when it is whole.

        Args:
            key: Key of the object.
            path: Path of the file.
            md5: MD5 that the content must have, 32 hexadecimal digits.
            progress: Called with the bytes received.

        Raises:
            ObjectMissing: There is no such object.
            TransferFailed: The object cannot be read, is not what the service wrote, or the disk is full.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to import

        with _faults(f"{self.name}/{key} could not be fetched"):
            try:
                found = self._s3().get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                    raise ObjectMissing(f"{self.name}/{key} is in the bucket no more") from error
                raise
            body = found["Body"]
            write_whole(path, body.iter_chunks(_CHUNK), md5=md5, progress=progress)

    def is_missing(self) -> bool:
        """Return whether the store says that there is no such bucket; a key without rights gets no answer."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

        try:
            with closing(
                self._made(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
            ) as s3:
                s3.head_bucket(Bucket=self.name)
        except ClientError as error:
            return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404)
        except BotoCoreError:
            pass
        return False

    def check(self) -> None:
        """Check that the bucket exists and takes the keys, which need not be allowed to list it.

        Raises:
            StoreRefused: It does not exist, or refuses the keys.
            TransferFailed: The store gives no answer of a store.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to import

        with _faults(f"the bucket {self.name} cannot be used"):
            try:
                self._s3().list_objects_v2(Bucket=self.name, MaxKeys=1)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "AccessDenied":
                    raise

    def exists(self, key: str) -> bool:
        """Return whether there is an object.

        There is none with ``.`` or ``..`` between the slashes of its key: such a word is a path.

        Raises:
            TransferFailed: The bucket does not say.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to import

        if {".", ".."} & set(key.split("/")):
            return False
        with _faults(f"{self.name}/{key} cannot be looked at"):
            try:
                self._s3().head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return False
                raise
        return True

    def list(self, prefix: str) -> Iterator[Object]:
        """Yield the objects whose keys begin with a prefix.

        Raises:
            TransferFailed: The bucket cannot be listed.
        """
        with _faults(f"{self.name}/{prefix} cannot be listed"):
            pages = iter(
                self._s3().get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            )
        while True:
            with _faults(f"{self.name}/{prefix} cannot be listed"):
                page = next(pages, None)
            if page is None:
                return
            for item in page.get("Contents", []):
                yield Object(item["Key"], item["Size"], item.get("ETag", ""))

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _s3(self) -> Any:
        with self._lock:  # creating clients is not thread-safe; using them is
            if self._client is None:
                self._client = self._made()
                self._client.meta.events.register_first("needs-retry.s3", self._heard)
            return self._client

    def _heard(self, caught_exception: Exception | None = None, **_: Any) -> None:
        """End the tries of a call, which botocore counts, by time too: six that time out take minutes."""
        if caught_exception is None:
            self._unanswered.answered()
        elif self._unanswered.should_end():
            raise caught_exception

    def _made(self, **options: Any) -> Any:
        """Return a client with other options than the usual ones."""
        import boto3  # noqa: PLC0415 - slow to import, and not always needed

        access = self._access
        keys = (
            {"aws_access_key_id": access.access_key, "aws_secret_access_key": access.secret_key}
            if access.access_key
            else {}
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=access.endpoint_url or None,
            region_name=self._region or None,
            config=_config(path_style=access.path_style, **options),
            **keys,
        )


def write_whole(
    path: Path, chunks: Iterable[bytes], *, md5: str = "", progress: Progress | None = None
) -> None:
    """Write a file that appears under its name when all of it is on the disk.

    Raises:
        TransferFailed: The content has another MD5.
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}.partial")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with partial.open("wb") as out:
            for chunk in chunks:
                out.write(chunk)
                digest.update(chunk)
                if progress is not None:
                    progress(len(chunk))
            out.flush()
            os.fsync(out.fileno())
        if md5 and digest.hexdigest() != md5:
            raise TransferFailed(f"{path.name} has the MD5 {digest.hexdigest()} instead of {md5}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _faults(what: str) -> Iterator[None]:
    """Turn every fault of the bucket, the connection or the disk into one that says what failed."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - slow to import
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415
    from botocore.exceptions import ConnectionError as BotoConnectionError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error, ResponseParserError, OSError) as error:
        answer = error.__context__ if isinstance(error, Boto3Error) else error  # boto3 repeats `what`
        if not isinstance(answer, ClientError):
            silent = isinstance(answer, BotoConnectionError | HTTPClientError | ResponseParserError)
            unsent = StoreUnreachable if silent else TransferFailed
            raise unsent(f"{what}: {reason_of(error)}") from error
        code = str(answer.response.get("Error", {}).get("Code", ""))
        status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = StoreRefused if status == 403 or code == "NoSuchBucket" else TransferFailed
        raise kind(f"{what}: {reason_of(answer)}") from error


def _config(*, path_style: bool, **options: Any) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - slow to import

    usual: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 30,
        "max_pool_connections": 32,
        "retries": {"total_max_attempts": 6, "mode": "standard"},
    }
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "virtual"},
        # Many compatible stores do not support trailing checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **{**usual, **options},
    )
