"""Requests that take long, because of a slow store or of many records: they delay nobody else."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from stemline.api import bulk
from stemline.jobs.store import Counted
from stemline.runtime.store import store_options
from stemline.storage import clients
from stemline.testing import InMemoryStore
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import BUCKET, REGION, Answer, Client, submission
from stemline.testing.processes import eventually
from tests.security.test_buckets import OPENED, hostile_server

OTHER = "other-1250000000"
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
NEW = json.dumps({"Name": "a.mp3", "Size": 10, "ContentType": "audio/mpeg"}).encode()
QUERY = "key=uploads/0123456789abcdef/a.mp3&uploadId=u&size=10"
MANIFEST = json.dumps(
    {
        "Manifest": {"Object": "rows"},
        "Tag": "VoiceSeparate",
        "Operation": {
            "VoiceSeparate": {"AudioMode": "IsAudio"},
            "Output": {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/${jobid}"},
        },
    }
).encode()
#: Every kind of request that waits for a store.
AT_STORES = (
    ("POST", "/uploads", NEW),
    ("PUT", f"/uploads?{QUERY}", b""),
    ("POST", f"/uploads/complete?{QUERY}", b""),
    ("DELETE", f"/uploads?{QUERY}", b""),
    ("POST", "/batches", MANIFEST),
)


def of_other(client: Client) -> Client:
    """The same client with another bucket."""
    return dataclasses.replace(client, host=f"{OTHER}.ci.{REGION}.myqcloud.com")


def test_a_slow_store_delays_no_other_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """While requests wait for the store of one bucket, others are answered; what is too much is refused."""
    monkeypatch.setattr(clients, "READ_TIMEOUT_S", 600.0)  # longer than this test
    released = threading.Event()
    waiting: list[socket.socket] = []

    def slow(connection: socket.socket) -> None:
        waiting.append(connection)
        released.wait(600)
        # A refusal without a code would be a proxy's, and tried again.
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def fast(connection: socket.socket) -> None:
        connection.sendall(OPENED.encode())

    with hostile_server(slow) as away, hostile_server(fast) as here:
        settings = api_settings(buckets={BUCKET: away, OTHER: here})
        with (
            ApiServer(settings, InMemoryStore(store_options(settings))) as server,
            ThreadPoolExecutor(60) as pool,
        ):
            asked = [
                pool.submit(server.client.request, *AT_STORES[n % len(AT_STORES)], JSON) for n in range(50)
            ]
            try:
                eventually(lambda: len(waiting) >= 4, 180, "requests at the store")
                other = of_other(server.client)
                assert 200 == other.request("POST", "/uploads", NEW, JSON).status
                assert 200 == other.post("/jobs", submission()).status
                assert 200 == server.client.get("/queue").status
                # Four ask the store and 32 wait for their turn; the others were refused.
                eventually(lambda: sum(each.done() for each in asked) >= 14, 180, "the refusals")
                assert 20 <= sum(not each.done() for each in asked)
            finally:
                released.set()
            codes = Counter(_code(each.result()) for each in asked)
    assert {"SlowDown", "AccessDenied", "InvalidArgument"} >= set(codes)
    assert codes["SlowDown"]


def _code(answer: Answer) -> str:
    return str(json.loads(answer.body)["Code"])


#: Every kind of request that shows more records than a usual page.
PAGES = (
    ("/jobs?tag=VoiceSeparate&size=100", "jobs.search"),
    ("/console/jobs?size=200", "jobs.browse"),
    ("/console/jobs?text=nowhere", "jobs.search"),
    ("/console/workers", "workers.latest"),
    (f"/jobs/j{'0' * 32}/waveform", "jobs.waveforms"),
    ("/callbacks?states=All", "outbox.search"),
    ("/batches?pageSize=100", "batches.search"),
    ("/usage", "usage.read"),
)


@pytest.mark.parametrize(("page", "reads"), PAGES)
def test_large_pages_of_a_bucket_delay_no_other(
    page: str, reads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one bucket asks for more large pages than the service works on at a time, others are answered."""
    settings = api_settings()
    store = InMemoryStore(store_options(settings))
    begun, released, counting = threading.Semaphore(0), threading.Event(), threading.Lock()
    at_work, most = 0, 0
    repository = getattr(store, reads.partition(".")[0])
    read = getattr(repository, reads.partition(".")[2])

    def wait(*given: object, **named: object) -> object:
        nonlocal at_work, most
        with counting:
            at_work += 1
            most = max(most, at_work)
        begun.release()
        released.wait(120)
        with counting:
            at_work -= 1
        return read(*given, **named)

    monkeypatch.setattr(repository, reads.partition(".")[2], wait)
    with ApiServer(settings, store) as server, ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(server.client.get, page) for _ in range(24)]
        try:
            assert begun.acquire(timeout=60)
            for client in (of_other(server.client), server.client):
                assert 200 == client.post("/jobs", submission()).status
                assert 200 == client.get("/queue").status
        finally:
            released.set()
        assert not any(each.result().status >= 500 and each.result().status != 503 for each in asked)
    assert most <= 2


@pytest.mark.parametrize("request_", ["/bulk/jobs/cancel", "/bulk/jobs/retry?states=Failed"])
def test_many_records_of_a_bucket_delay_no_other(request_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While requests of one bucket go through all its jobs, those of others are answered."""
    settings = api_settings()
    store = InMemoryStore(store_options(settings))
    begun, released = threading.Event(), threading.Event()

    def wait(*_: object) -> Counted:
        begun.set()
        released.wait(120)
        return Counted(0, None)

    monkeypatch.setattr(bulk, "_all", wait)
    with ApiServer(settings, store) as server, ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(server.client.request, "POST", request_, b"", JSON) for _ in range(40)]
        try:
            assert begun.wait(60)
            assert 200 == of_other(server.client).post("/jobs", submission()).status
            assert 200 == server.client.get("/queue").status
            # One is at work and eight wait for their turn; the others were refused.
            eventually(lambda: sum(each.done() for each in asked) >= 31, 180, "the refusals")
        finally:
            released.set()
        statuses = Counter(each.result().status for each in asked)
    assert {200: 9, 503: 31} == statuses
