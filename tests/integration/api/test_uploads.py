"""Uploads of sources through presigned URLs, against a real store."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from stemline.runtime.settings import BucketAccess, Credential
from stemline.testing.api_server import ApiServer
from stemline.testing.client import BUCKET, Client
from tests.conftest import S3

PART = 8 << 20
JSON = {"Content-Type": "application/json", "Accept": "application/json"}


@pytest.fixture
def server(serve, s3: S3) -> ApiServer:
    """An API whose bucket is an empty one on the real store."""
    return serve(
        buckets={
            "*": BucketAccess(
                endpoint_url=s3.endpoint_url,
                access_key=s3.access_key,
                secret_key=s3.secret_key,
                name=s3.bucket,
            )
        }
    )


def call(client: Client, method: str, target: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = client.request(method, target, json.dumps(body).encode() if body else b"", headers=JSON)
    assert status == answer.status, answer.body
    return json.loads(answer.body) if answer.body else {}


def begin(client: Client, name: str = "song é.mp3", size: int = 10) -> dict[str, Any]:
    return call(client, "POST", "/uploads", {"Name": name, "Size": size, "ContentType": "audio/mpeg"})[
        "Upload"
    ]


def named(upload: dict[str, Any]) -> str:
    query = {"key": upload["Key"], "uploadId": upload["UploadId"], "size": upload["Size"]}
    return str(httpx.QueryParams(query))


def send(upload: dict[str, Any], data: bytes, number: int) -> int:
    (part,) = [part for part in upload["Part"] if int(part["PartNumber"]) == number]
    chunk = data[(number - 1) * PART : number * PART]
    return httpx.put(part["Url"], content=chunk, trust_env=False, timeout=120).status_code


@pytest.mark.shows(
    "POST /uploads",
    "PUT /uploads: key, uploadId, size",
    "POST /uploads/complete: Key",
)
def test_an_upload_is_resumed_and_becomes_an_object(server: ApiServer, s3: S3) -> None:
    """Parts go straight to the store; missing ones are named with new URLs; then it is an object."""
    data = bytes(range(256)) * (PART // 256) + b"the end"
    upload = begin(server.client, size=len(data))
    assert re.fullmatch(r"uploads/[0-9a-f]{16}/song é\.mp3", upload["Key"])
    assert ("2", str(PART), "0") == (upload["PartCount"], upload["PartSize"], upload["ReceivedCount"])
    assert 200 == send(upload, data, 1)
    refused = call(server.client, "POST", f"/uploads/complete?{named(upload)}", status=400)
    assert "lacks 1 of 2 parts" in refused["Message"]
    again = call(server.client, "PUT", f"/uploads?{named(upload)}")["Upload"]
    assert ("1", ["2"]) == (again["ReceivedCount"], [part["PartNumber"] for part in again["Part"]])
    assert 200 == send(again, data, 2)
    done = call(server.client, "POST", f"/uploads/complete?{named(upload)}")
    stored = s3.client.get_object(Bucket=s3.bucket, Key=done["Key"])
    assert (data, "audio/mpeg") == (stored["Body"].read(), stored["ContentType"])
    assert "NoSuchResource" == call(server.client, "PUT", f"/uploads?{named(upload)}", status=404)["Code"]


@pytest.mark.shows("DELETE /uploads")
def test_an_upload_is_given_up(server: ApiServer, s3: S3) -> None:
    """An upload that is given up leaves nothing in the bucket."""
    upload = begin(server.client)
    assert 200 == send(upload, b"0123456789", 1)
    call(server.client, "DELETE", f"/uploads?{named(upload)}")
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=s3.bucket)
    assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)
    call(server.client, "PUT", f"/uploads?{named(upload)}", status=404)


@pytest.mark.parametrize("data", [b"short", b"longer than announced"])
def test_a_part_of_another_size_is_refused_by_the_store(server: ApiServer, data: bytes) -> None:
    """The URL of a part is signed for as many bytes as were announced."""
    upload = begin(server.client)
    assert 403 == send(upload, data, 1)
    assert "0" == call(server.client, "PUT", f"/uploads?{named(upload)}")["Upload"]["ReceivedCount"]


@pytest.mark.parametrize("data", [b"short", b"longer than announced"])
def test_a_part_of_another_size_does_not_count(server: ApiServer, s3: S3, data: bytes) -> None:
    """Where a store has taken one all the same, the part is asked for again, and nothing is completed."""
    upload = begin(server.client)
    names = {"Bucket": s3.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    s3.client.upload_part(**names, PartNumber=1, Body=data)
    assert "0" == call(server.client, "PUT", f"/uploads?{named(upload)}")["Upload"]["ReceivedCount"]
    refused = call(server.client, "POST", f"/uploads/complete?{named(upload)}", status=400)
    assert "lacks 1 of 1 parts" in refused["Message"]


@pytest.mark.shows("POST /uploads")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Size": 1}, "Name is missing."),
        ({"Name": "a"}, "Size is missing."),
        ({"Name": "../a", "Size": 1}, "Name must be"),
        ({"Name": "a/b", "Size": 1}, "Name must be"),
        ({"Name": "..", "Size": 1}, "Name must be"),
        ({"Name": "a\\b", "Size": 1}, "Name must be"),
        ({"Name": "a\nb", "Size": 1}, "Name must be"),
        ({"Name": "é" * 101, "Size": 1}, "Name must be"),
        ({"Name": "a", "Size": 0}, "Size must be"),
        ({"Name": "a", "Size": -1}, "Size must be"),
        ({"Name": "a", "Size": "many"}, "Size must be"),
        ({"Name": "a", "Size": (5 << 30) + 1}, "A source may have at most"),
        ({"Name": "a", "Size": 1, "ContentType": "x\ny"}, "ContentType must be"),
    ],
)
def test_what_is_refused(server: ApiServer, body: dict[str, Any], message: str) -> None:
    """Names with folders, sizes that no source may have and malformed types are refused, saying why."""
    assert message in call(server.client, "POST", "/uploads", body, status=400)["Message"]


@pytest.mark.parametrize(
    "key",
    ["out/song.mp3", "uploads/song.mp3", "uploads/0123456789abcdef/a/b", "x/uploads/0123456789abcdef/a"],
)
def test_other_keys_are_out_of_reach(server: ApiServer, key: str) -> None:
    """Only keys that an upload was given can be completed, asked about or deleted."""
    query = str(httpx.QueryParams({"key": key, "uploadId": "u", "size": 1}))
    for method, path in (("PUT", "/uploads"), ("POST", "/uploads/complete"), ("DELETE", "/uploads")):
        assert "AccessDenied" == call(server.client, method, f"{path}?{query}", status=403)["Code"]


def test_who_may_upload(serve) -> None:
    """A credential without the operation, or for another bucket, is refused; so is an unsigned request."""
    keys = {"secret_key": "k"}
    server = serve(
        credentials=(
            Credential(secret_id="reader", read_only=True, **keys),
            Credential(secret_id="submitter", operations=("read", "submit"), **keys),
            Credential(secret_id="stranger", buckets=("other-1",), **keys),
        )
    )
    for name in ("reader", "submitter", "stranger"):
        client = Client(server.port, secret_id=name, secret_key="k")
        call(client, "POST", "/uploads", {"Name": "a", "Size": 1}, status=403)
    assert 403 == server.client.request("POST", "/uploads", b"{}", signed=False).status


def test_a_bucket_that_is_not_there(serve) -> None:
    """A bucket that is not configured is a refusal, and a store that does not answer is one to try again."""
    assert (
        "not configured"
        in call(serve().client, "POST", "/uploads", {"Name": "a", "Size": 1}, status=403)["Message"]
    )
    down = BucketAccess(endpoint_url="http://127.0.0.1:1", access_key="k", secret_key="s")
    answer = serve(buckets={BUCKET: down}).client.request(
        "POST", "/uploads", b'{"Name": "a", "Size": 1}', headers=JSON
    )
    assert (503, "5") == (answer.status, answer.headers["retry-after"])
