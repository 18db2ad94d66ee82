"""Valkey and SeaweedFS from their packages."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis
from botocore.exceptions import ClientError

from stemline.deploy.local.servers import SeaweedServer, ValkeyServer
from tests.conftest import S3


def test_valkey_keeps_its_data_after_a_crash(tmp_path: Path) -> None:
    """Data that was written to the append-only file before a kill -9 is there after the next start."""
    server = ValkeyServer(tmp_path, password="correct horse")
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
            client.execute_command("WAITAOF", 1, 0, 2000)
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"yes"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        server.stop()


def test_valkey_requires_its_password(tmp_path: Path) -> None:
    """Other users of the machine cannot read jobs: a password is required, and no command line shows it."""
    server = ValkeyServer(tmp_path, password="correct-horse")
    server.start()
    try:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
            stranger.ping()
        assert "correct-horse" not in " ".join(server.prepare())
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()


def test_seaweedfs_keeps_its_objects_on_other_ports(tmp_path: Path) -> None:
    """After a second start on other ports, the buckets and objects of the first are there."""
    first = SeaweedServer(tmp_path)
    first.start()
    try:
        first.create_bucket("media-1250000000")
        first.client().put_object(Bucket="media-1250000000", Key="in/song.mp3", Body=b"x" * 100_000)
    finally:
        first.stop()
    second = SeaweedServer(tmp_path)
    assert first.endpoint_url != second.endpoint_url
    second.start()
    try:
        found = second.client().get_object(Bucket="media-1250000000", Key="in/song.mp3")
        assert len(found["Body"].read()) == 100_000
    finally:
        second.stop()


def test_s3_checks_signatures(s3: S3, s3_server: SeaweedServer) -> None:
    """A request that is signed with a wrong key is refused, as by any S3."""
    wrong = SeaweedServer(s3_server.folder, listen=s3_server.listen, secret_key="not it").client()
    with pytest.raises(ClientError) as refused:
        wrong.list_objects_v2(Bucket=s3.bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_no_part_of_the_store_works_without_keys(s3: S3, s3_server: SeaweedServer) -> None:
    """Beside S3 no HTTP port lets a process, or a page in a browser, write, read or delete an object."""
    s3_server.client().put_object(Bucket=s3.bucket, Key="in/kept.txt", Body=b"kept")
    ports = s3_server.listen
    filer, master = f"http://127.0.0.1:{ports['filer']}", f"http://127.0.0.1:{ports['master']}"
    volume, admin = f"http://127.0.0.1:{ports['volume']}", f"http://127.0.0.1:{ports['admin']}"
    attempts = [
        *(
            (method, f"{filer}/buckets/{s3.bucket}/in/kept.txt")
            for method in ("GET", "PUT", "POST", "DELETE")
        ),
        *(
            (method, f"{volume}/{number},01deadbeef")
            for number in (1, 2)
            for method in ("GET", "POST", "DELETE")
        ),
        *(("GET", f"{master}/{path}") for path in ("dir/assign", "dir/status", "vol/status", "col/delete")),
        *((method, f"{master}/submit") for method in ("PUT", "POST")),
        ("GET", f"{admin}/"),
    ]
    answers = {f"{method} {url}": _status(method, url) for method, url in attempts}
    assert {} == {request: status for request, status in answers.items() if status not in {401, 403, 404}}
    assert b"kept" == s3_server.client().get_object(Bucket=s3.bucket, Key="in/kept.txt")["Body"].read()


def _status(method: str, url: str) -> int:
    body = b"evil" if method in {"PUT", "POST"} else None
    request = urllib.request.Request(url, body, {"Origin": "http://evil.example"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
