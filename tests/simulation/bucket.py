"""A model of a bucket over S3, and its client, which stands in for boto3's."""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from lxml import etree

from tests.simulation.scheduler import Process, Scheduler

READ_TIMEOUT_S: Final = 20.0
MAX_SKEW_S: Final = 900.0
_DIES_BEFORE, _STOPS, _LATE, _LOST, _REFUSED, _ANSWER_LOST, _OBEYED_WITH_500, _DIES_AFTER = range(1, 9)
_FAULTS: Final = 9
_USUAL_S: Final = (0.01, 0.02, 0.05, 0.2)
_LONG_S: Final = (1.0, 8.0, 25.0)
"""How long a request is under way, s."""


@dataclass
class Stored:
    """An object."""

    data: bytes
    job: str
    token: int

    @property
    def etag(self) -> str:
        """Its ETag."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}-{self.token}"'


@dataclass
class Open:
    """A multipart upload."""

    key: str
    job: str
    token: int
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Bucket:
    """What the store of the bucket holds, and how it fares."""

    scheduler: Scheduler
    network: Process
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, Open] = field(default_factory=dict)
    down_until: float = 0.0
    forgets_until: float = 0.0
    """Until then it answers completions with success, and keeps nothing."""
    has_forgotten: bool = False
    opened: int = 0

    def create(self, key: str, metadata: Mapping[str, str]) -> dict[str, str]:
        """Open an upload."""
        self.opened += 1
        name = f"upload-{self.opened}"
        self.uploads[name] = Open(key, metadata["stemline-job"], int(metadata["stemline-token"]))
        return {"UploadId": name}

    def part(self, upload_id: str, number: int, data: bytes) -> dict[str, str]:
        """Keep a part."""
        self._find(upload_id).parts[number] = data
        return {"ETag": hashlib.md5(data, usedforsecurity=False).hexdigest()}

    def copy_part(self, upload_id: str, number: int, key: str, etag: str) -> dict[str, Any]:
        """Keep a part that is an object, if it is the one that is named."""
        if self.head(key)["ETag"] != etag:
            raise refusal("PreconditionFailed", 412)
        return {"CopyPartResult": self.part(upload_id, number, self.objects[key].data)}

    def complete(self, upload_id: str, wanted: Mapping[int, str]) -> None:
        """Make an upload an object."""
        upload = self._find(upload_id)
        found = {n: hashlib.md5(d, usedforsecurity=False).hexdigest() for n, d in upload.parts.items()}
        if {n: found.get(n) for n in wanted} != wanted:
            raise refusal("InvalidPart", 400)
        data = b"".join(upload.parts[n] for n in sorted(wanted))
        del self.uploads[upload_id]
        if self.scheduler.now < self.forgets_until:
            self.has_forgotten = True
        else:
            self.objects[upload.key] = Stored(data, upload.job, upload.token)

    def abort(self, upload_id: str) -> dict[str, str]:
        """Drop an upload."""
        self._find(upload_id)
        del self.uploads[upload_id]
        return {}

    def head(self, key: str) -> dict[str, Any]:
        """Return what is known of an object."""
        found = self.objects.get(key)
        if found is None:
            raise refusal("NoSuchKey", 404)
        metadata = {"stemline-job": found.job, "stemline-token": str(found.token)} if found.job else {}
        return {"ContentLength": len(found.data), "ETag": found.etag, "Metadata": metadata}

    def get(self, key: str) -> dict[str, Any]:
        """Return an object."""
        head = self.head(key)
        body = SimpleNamespace(_raw_stream=io.BytesIO(self.objects[key].data), close=lambda: None)
        return {**head, "Body": body}

    def delete(self, key: str, etag: str) -> None:
        """Delete an object, if it is the one that is named."""
        found = self.objects.get(key)
        if found is not None and etag and found.etag != etag:
            raise refusal("PreconditionFailed", 412)
        self.objects.pop(key, None)

    def _find(self, upload_id: str) -> Open:
        if upload_id not in self.uploads:
            raise refusal("NoSuchUpload", 404)
        return self.uploads[upload_id]


def refusal(code: str, status: int) -> ClientError:
    """Return the error of a refused request."""
    details: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(details, "simulated")


class Client:
    """A client of one process, with boto3's names.

    Every request is a task of the network, which no crash of its sender ends.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._endpoint = SimpleNamespace(http_session=SimpleNamespace(send=self._send))

    # -- what the product calls

    def create_multipart_upload(self, *, Key: str, Metadata: Mapping[str, str], **_: Any) -> Any:  # noqa: N803
        """Open an upload."""
        return self._request("open", lambda: self._bucket.create(Key, Metadata))

    def upload_part(self, *, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> Any:  # noqa: N803
        """Send a part."""
        return self._request("part", lambda: self._bucket.part(UploadId, PartNumber, Body))

    def upload_part_copy(
        self,
        *,
        UploadId: str,  # noqa: N803
        PartNumber: int,  # noqa: N803
        CopySource: Mapping[str, str],  # noqa: N803
        CopySourceIfMatch: str,  # noqa: N803
        **_: Any,
    ) -> Any:
        """Send a part that is an object of the bucket."""
        key = CopySource["Key"]
        return self._request(
            "copy", lambda: self._bucket.copy_part(UploadId, PartNumber, key, CopySourceIfMatch)
        )

    def abort_multipart_upload(self, *, UploadId: str, **_: Any) -> Any:  # noqa: N803
        """Drop an upload."""
        return self._request(f"abort {UploadId}", lambda: self._bucket.abort(UploadId))

    def head_object(self, *, Key: str, **_: Any) -> Any:  # noqa: N803
        """Ask for the metadata of an object."""
        return self._request("head", lambda: self._bucket.head(Key))

    def head_bucket(self, **_: Any) -> Any:
        """Ask whether the store responds."""
        return self._request("head", dict)

    def get_object(self, *, Key: str, **_: Any) -> Any:  # noqa: N803
        """Read an object."""
        return self._request("get", lambda: self._bucket.get(Key))

    def generate_presigned_url(
        self,
        operation: str,
        *,
        Params: Mapping[str, str],  # noqa: N803
        ExpiresIn: int,  # noqa: N803
        **_: Any,
    ) -> str:
        """Sign a request with the clock of the process, in whole seconds as S3 does."""
        date = datetime.fromtimestamp(math.floor(time.time()), UTC).strftime("%Y%m%dT%H%M%SZ")
        query = {"X-Amz-Date": date, "X-Amz-Expires": str(ExpiresIn), "operation": operation}
        chosen = {name: Params[name] for name in ("Key", "UploadId") if name in Params}
        return f"http://bucket.invalid/?{urlencode({**query, **chosen})}"

    # -- the way there and back

    def _send(self, prepared: Any) -> Any:
        query = dict(parse_qsl(urlsplit(prepared.url).query))
        date = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        expires = date + int(query["X-Amz-Expires"])
        is_completion = query["operation"] == "complete_multipart_upload"
        parts = _parts(prepared.body) if is_completion else {}

        def arrive() -> Any:
            now = self._bucket.scheduler.now
            if now >= expires or date > now + MAX_SKEW_S:
                raise refusal("AccessDenied", 403)
            if is_completion:
                self._bucket.complete(query["UploadId"], parts)
            else:
                self._bucket.delete(query["Key"], prepared.headers.get("If-Match", ""))

        try:
            self._request(f"{query['operation']} {query['Key']}", arrive, is_presigned=True)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            content = f"<Error><Code>{code}</Code></Error>".encode()
            answered_at = formatdate(self._bucket.scheduler.now, usegmt=True)
            return SimpleNamespace(status_code=status, content=content, headers={"Date": answered_at})
        content = b"<CompleteMultipartUploadResult/>" if is_completion else b""
        return SimpleNamespace(status_code=200, content=content, headers={})

    def _request(self, what: str, apply: Callable[[], Any], *, is_presigned: bool = False) -> Any:
        """Send a request, and wait for its answer.

        What may go wrong: the sender dies or stops before or after sending, the connection breaks before or
        after the request arrives, the answer is 500 before or after it was obeyed, it takes long.
        """
        scheduler = self._bucket.scheduler
        process, date = scheduler.process(), time.time()
        fault = scheduler.choices.rare(_FAULTS, what.split(maxsplit=1)[0])
        scheduler.point()
        if fault:
            scheduler.note(f"fault {fault} of {what}")
        if fault == _DIES_BEFORE:
            scheduler.kill(process)
        if fault == _STOPS:
            freeze(scheduler, process)
        replies: list[Any] = []

        def travel() -> None:
            times = _LONG_S if fault == _LATE else _USUAL_S
            scheduler.sleep(times[scheduler.choices.pick(len(times))])
            try:
                if not is_presigned and abs(date - scheduler.now) > MAX_SKEW_S:
                    raise refusal("RequestTimeTooSkewed", 403)
                replies.append(self._arrive(what, apply, fault))
            except (ClientError, EndpointConnectionError) as error:
                replies.append(error)

        scheduler.spawn(self._bucket.network, travel)
        if fault == _DIES_AFTER:
            scheduler.kill(process)
        scheduler.block(lambda: replies, READ_TIMEOUT_S)
        if not replies:
            raise ReadTimeoutError(endpoint_url="http://bucket.invalid")
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]

    def _arrive(self, what: str, apply: Callable[[], Any], fault: int) -> Any:
        """Do what a request asks for; the answer may be lost."""
        scheduler = self._bucket.scheduler
        if fault == _LOST or scheduler.now < self._bucket.down_until:
            raise EndpointConnectionError(endpoint_url="http://bucket.invalid")
        if fault == _REFUSED:
            raise refusal("InternalError", 500)
        answer = apply()
        scheduler.note(f"the bucket obeys: {what}")
        if fault == _ANSWER_LOST:
            raise EndpointConnectionError(endpoint_url="http://bucket.invalid")
        if fault == _OBEYED_WITH_500:
            raise refusal("InternalError", 500)
        return answer


def freeze(scheduler: Scheduler, process: Process) -> None:
    """Stop a process for a while, perhaps longer than a lease, and perhaps with another clock afterwards."""
    for_s = (3.0, 12.0, 26.0, 45.0)[scheduler.choices.pick(4)]
    process.frozen_until = scheduler.now + for_s
    process.offset += (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3600.0, -3600.0)[scheduler.choices.pick(8)]
    scheduler.note(f"{process.name} stops for {for_s} s; its clock is {process.offset:+.0f} s then")
    scheduler.point()


def _parts(body: bytes) -> dict[int, str]:
    root = etree.fromstring(body)
    names = [(part.findtext("{*}PartNumber"), part.findtext("{*}ETag")) for part in root.iterfind("{*}Part")]
    return {int(number or 0): str(etag) for number, etag in names}
