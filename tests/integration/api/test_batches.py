"""Batches over HTTP."""

from __future__ import annotations

import json
import socket
from codecs import BOM_UTF8
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stemline.jobs.errors import SourceNotFound
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter
from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, TENANT, ApiServer
from stemline.testing.client import BUCKET, REGION, Answer, Client
from stemline.testing.processes import eventually
from stemline.workers.feeder import Feeder

OUTPUT = {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/${jobid}.${ext}"}
OPERATION: dict[str, Any] = {
    "VoiceSeparate": {"AudioMode": "IsAudio"},
    "Output": OUTPUT,
    "UserData": "all",
}
COMMON: dict[str, Any] = {"Name": "night", "Tag": "VoiceSeparate", "Operation": OPERATION}
LINES = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}


def body(rows: list[Any], **common: Any) -> bytes:
    return "\n".join(json.dumps(line) for line in [COMMON | common, *rows]).encode()


def post(client: Client, content: bytes, **headers: str) -> dict[str, Any]:
    answer = client.request("POST", "/batches", content, LINES | headers)
    return json.loads(answer.body) | {"status": answer.status}


def rows(count: int) -> list[dict[str, str]]:
    return [{"Object": f"in/{number}.mp3", "UserData": str(number)} for number in range(count)]


def ask(server: ApiServer, method: str, path: str) -> dict[str, Any]:
    return json.loads(server.client.request(method, path, headers=JSON).body)


def counts(batch: dict[str, Any]) -> list[str]:
    return [batch[f"{name}Count"] for name in ("Row", "Waiting", "Running", "Success", "Failed", "Cancel")]


def fail(server: ApiServer) -> None:
    server.store.attempts.fail(server.store.attempts.claim("w", [0]), "AudioDamaged", "It is.")


@pytest.mark.shows(
    "POST /batches, GET /batches, GET /batches/{batch}: Batch, BatchList, BatchId, Manifest",
    "RowCount, WaitingCount, RunningCount, SuccessCount, FailedCount, CancelCount, batchId",
)
def test_a_batch_is_accepted_and_shown(server):
    """A batch is stored whole, listed, and its rows become jobs that the vendor's calls see."""
    made = post(server.client, body(rows(300)))["Batch"]
    assert ("night", "Active", "0", ["300", "300", "0", "0", "0", "0"]) == (
        made["Name"],
        made["State"],
        made["Progress"],
        counts(made),
    )
    assert [made["BatchId"]] == [each["BatchId"] for each in ask(server, "GET", "/batches")["BatchList"]]
    Feeder(server.store).feed()
    path = f"/jobs?tag=VoiceSeparate&size=100&orderByTime=Asc&batchId={made['BatchId']}"
    jobs = ask(server, "GET", path)["JobsDetail"]
    assert [f"in/{number}.mp3" for number in range(100)] == [job["Input"]["Object"] for job in jobs]
    assert ["0", "1"] == [job["Operation"]["UserData"] for job in jobs[:2]]
    fail(server)
    shown = ask(server, "GET", f"/batches/{made['BatchId']}")["Batch"]
    assert ["300", "299", "0", "0", "1", "0"] == counts(shown)
    xml = server.client.get(f"/batches/{made['BatchId']}")
    assert "299" == xml.text("Batch/WaitingCount")


def test_a_row_has_outputs_of_its_own(server):
    """A row's own names replace the batch's; blank lines and a missing last newline do not matter."""
    named = {"Object": "in/a.mp3", "Output": {"AuObject": "out/own.mp3"}}
    content = body([], Operation=OPERATION | {"Output": OUTPUT | {"AuObject": "out/one.mp3"}})
    made = post(server.client, content + b"\n\n  \n" + json.dumps(named).encode() + b"\n")
    assert 200 == made["status"], made
    Feeder(server.store).feed()
    (job,) = server.store.jobs.search(TENANT, JobFilter(batch=made["Batch"]["BatchId"])).items
    assert ("out/own.mp3", "all") == (job.spec.output.au_object, job.spec.user_data)


@pytest.mark.shows("POST /batches/{batch}/pause")
def test_a_batch_is_paused_cancelled_and_retried(server):
    """Pausing, resuming, cancelling and retrying answer with the batch or with how many rows are retried."""
    batch = post(server.client, body(rows(4)))["Batch"]["BatchId"]
    Feeder(server.store).feed()
    fail(server)
    assert "Paused" == ask(server, "POST", f"/batches/{batch}/pause")["Batch"]["State"]
    assert server.store.attempts.claim("w", [0]) is None
    assert "Active" == ask(server, "POST", f"/batches/{batch}/resume")["Batch"]["State"]
    assert "1" == ask(server, "POST", f"/batches/{batch}/retry")["ChangedCount"]
    shown = ask(server, "GET", f"/batches/{batch}")["Batch"]
    assert ["4", "4", "0", "0", "0", "0"] == counts(shown)
    over = ask(server, "POST", f"/batches/{batch}/cancel")["Batch"]
    assert ("Cancel", "100", ["4", "0", "0", "0", "0", "4"]) == (
        over["State"],
        over["Progress"],
        counts(over),
    )
    assert "InvalidArgument" == server.client.post(f"/batches/{batch}/resume", "").code


def test_every_job_of_a_batch_is_cancelled_however_many_there_are(server):
    """Jobs are cancelled in parts; the answer comes when no part is left."""
    batch = post(server.client, body(rows(600)))["Batch"]["BatchId"]
    Feeder(server.store).feed()
    over = ask(server, "POST", f"/batches/{batch}/cancel")["Batch"]
    assert ["600", "0", "0", "0", "0", "600"] == counts(over)
    left = JobFilter(batch=batch, states=frozenset({State.SUBMITTED}), size=1000)
    assert 0 == server.store.jobs.count(TENANT, left).jobs


def test_a_batch_may_be_larger_than_the_memory_of_bodies(serve):
    """Rows that are stored take no more memory: a megabyte of them passes where 400 kB are held at most."""
    server = serve(body_memory_bytes=400_000, max_body_bytes=100_000)
    large = body([{"Object": f"in/{number}.mp3", "UserData": "x" * 1000} for number in range(1000)])
    assert len(large) > 1_000_000
    accepted = post(server.client, large)
    assert (200, "1000") == (accepted["status"], accepted["Batch"]["RowCount"])


def test_the_same_key_gives_the_same_batch(server):
    """A repeated batch is the same one; another body is 409; one that broke off begins anew."""
    first = post(server.client, body(rows(3)), **{"Idempotency-Key": "k"})
    again = post(server.client, body(rows(3)), **{"Idempotency-Key": "k"})
    assert first["Batch"]["BatchId"] == again["Batch"]["BatchId"]
    assert 409 == post(server.client, body(rows(4)), **{"Idempotency-Key": "k"})["status"]
    assert 400 == post(server.client, body([*rows(2), {"Object": ""}]), **{"Idempotency-Key": "k2"})["status"]
    anew = post(server.client, body(rows(2)), **{"Idempotency-Key": "k2"})
    assert (200, "2") == (anew["status"], anew["Batch"]["RowCount"])
    assert "2" == ask(server, "GET", "/batches")["TotalCount"]


def test_a_request_that_fails_leaves_no_rows(server, valkey):
    """Rows of a request that is refused, broken off or names no manifest are not kept until they expire."""
    before = set(valkey.keys("*batch*"))
    assert 400 == post(server.client, body([*rows(3), {"Object": ""}]), **{"Idempotency-Key": "k"})["status"]
    assert 400 == server.client.request("POST", "/batches", json.dumps(COMMON).encode(), JSON).status
    digest = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert 400 == server.client.request("POST", "/batches", json.dumps(COMMON).encode(), JSON | digest).status
    assert before == set(valkey.keys("*batch*"))
    assert {} == valkey.hgetall(f"stemline:held-rows:{TENANT}")


def test_rows_that_are_not_a_part_yet_take_room(serve):
    """Rows of a request that stops before its first part is whole count as a body until its end."""
    server = serve(body_memory_bytes=100_000, max_body_bytes=50_000, body_timeout_s=60)
    whole = server.client.raw("POST", "/batches", body(rows(1000)), LINES)
    with socket.create_connection(("127.0.0.1", server.port), timeout=180) as first:
        first.sendall(whole[:45_000])
        assert eventually(lambda: 503 == post(server.client, body(rows(1000)))["status"], 180, "the refusal")
    assert eventually(lambda: 200 == post(server.client, body(rows(1000)))["status"], 180, "the room")


def test_batches_are_refused_when_the_bucket_holds_enough(serve):
    """Too many rows for the bucket are 503 with what is full; more than ever fit are 400; jobs make room."""
    server = serve(batch_rows_per_bucket=5, batches_per_bucket=2)
    assert 200 == post(server.client, body(rows(3)))["status"]
    full = post(server.client, body(rows(3)))
    assert (503, "SlowDown") == (full["status"], full["Code"])
    assert "5 rows" in full["Message"]
    large = post(server.client, body(rows(6)))
    assert (400, "InvalidArgument") == (large["status"], large["Code"])
    assert 200 == post(server.client, body(rows(1)))["status"]
    assert "2 batches" in post(server.client, body(rows(1)))["Message"]
    Feeder(server.store).feed()
    assert 200 == post(server.client, body(rows(5)))["status"]


def test_a_batch_counts_for_the_budget_when_it_is_accepted(serve):
    """A batch with more rows than the budget has left is refused whole; one that fits takes its place."""
    limited = Credential(secret_id="AKIDLIMITED", secret_key="k" * 20, daily_jobs=5)
    server = serve(credentials=(CREDENTIAL, limited))
    client = Client(server.port, secret_id="AKIDLIMITED", secret_key="k" * 20)
    refused = post(client, body(rows(6)))
    assert (403, "BudgetExceeded") == (refused["status"], refused["Code"])
    assert 200 == post(client, body(rows(4)))["status"]
    assert "BudgetExceeded" == post(client, body(rows(2)))["Code"]
    Feeder(server.store).feed()
    assert 200 == post(client, body(rows(1)))["status"]


def test_two_requests_retry_a_row_once(server):
    """Retries of the same failed rows at the same moment make one job of each, whatever path they take."""
    batch = post(server.client, body(rows(3)))["Batch"]["BatchId"]
    Feeder(server.store).feed()
    for _ in range(3):
        fail(server)
    paths = [f"/batches/{batch}/retry", f"/bulk/jobs/retry?batchId={batch}"] * 3
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda path: ask(server, "POST", path), paths))
    assert 3 == sum(int(each["ChangedCount"]) for each in answers)
    assert ["3", "3", "0", "0", "0", "0"] == counts(ask(server, "GET", f"/batches/{batch}")["Batch"])
    (job, *_) = server.store.jobs.search(TENANT, JobFilter(states=frozenset({State.FAILED}))).items
    again = server.client.post(f"/jobs/{job.id}/retry", "")
    assert (400, "InvalidArgument") == (again.status, again.code)
    assert job.retried_by in (again.text("Message") or "")


def test_the_end_is_announced_with_failures(server):
    """One callback goes out when the last row has ended; its body names the rows that failed."""
    from stemline.callbacks import DeliveryService

    batch = post(server.client, body(rows(2), CallBack="http://127.0.0.1:9/x", CallBackFormat="JSON"))[
        "Batch"
    ]
    Feeder(server.store).feed()
    fail(server)
    assert [] == server.store.outbox.due()
    fail(server)
    (due,) = server.store.outbox.due()
    delivery = server.store.outbox.get(due)
    announced = DeliveryService(server.store, server.settings)._announced(delivery)
    sent = json.loads(announced.body)
    assert ("BatchFinish", batch["BatchId"], "2") == (
        sent["EventName"],
        sent["Batch"]["BatchId"],
        sent["Batch"]["FailedCount"],
    )
    assert [("in/0.mp3", "AudioDamaged"), ("in/1.mp3", "AudioDamaged")] == [
        (failure["Object"], failure["Code"]) for failure in sent["Failure"]
    ]
    (shown,) = ask(server, "GET", f"/callbacks/{batch['BatchId']}")["Callback"]
    assert (due, batch["BatchId"]) == (shown["CallbackId"], shown["BatchId"])
    assert "JobId" not in shown
    first = delivery.message_id
    assert first == server.store.outbox.get(due).message_id
    assert "2" == ask(server, "POST", f"/batches/{batch['BatchId']}/retry")["ChangedCount"]
    fail(server)
    fail(server)
    again = server.store.outbox.get(due)
    assert (due, False) == (again.id, first == again.message_id)


WRONG: list[tuple[bytes, str, str]] = [
    (b"", "InvalidContent", "The request body has no lines."),
    (body([]), "InvalidArgument", "A batch needs rows."),
    (b"[]\n", "InvalidContent", "The request body is not a JSON object."),
    (body([{"Object": "in/a"}, {"UserData": "x"}]), "InvalidArgument", "Row 2: Object is missing."),
    (body([{"Object": "in/a", "Objekt": "x"}]), "InvalidArgument", "Row 1: A row has no elements other than"),
    (body([{"Object": "../a"}]), "InvalidArgument", "Row 1: Object must be"),
    (
        body([{"Object": "in/a", "Output": {"AuObject": "out/"}}]),
        "InvalidArgument",
        "Row 1: An output name ends with /, which names a folder.",
    ),
    *(
        (body([{"Object": "in/a", "Output": {name: "x"}}]), "InvalidArgument", "Row 1: Output of a row names")
        for name in ("Bucket", "Region", "auobject")
    ),
    (body(rows(1)) + b"\n{", "InvalidContent", "Row 2: The request body is not well-formed JSON"),
    (body([{"Object": "in/" + "a" * 20_000}]), "InvalidContent", "A line is longer than 16384 bytes."),
    (body(rows(1), Operation=[OPERATION] * 2), "InvalidArgument", "A batch has one Operation."),
    (body(rows(1), QueueId="p" + "0" * 32), "QueueNotFound", "The queue does not exist."),
    (body(rows(1), Manifest={"Object": "x"}), "InvalidContent", "A batch whose rows follow has no Manifest."),
    (
        body(rows(2), Operation=OPERATION | {"Output": OUTPUT | {"AuObject": "o"}}),
        "InvalidArgument",
        "Row 1: The row needs Output.AuObject, or the batch ${jobid} in it.",
    ),
]


@pytest.mark.parametrize(
    ("content", "code", "words"), WRONG, ids=[str(number) for number in range(len(WRONG))]
)
def test_a_wrong_batch_is_refused_whole(server, content, code, words):
    """A batch with anything wrong in it is refused for what is wrong, and none of its rows is stored."""
    refused = post(server.client, content)
    assert (400, code) == (refused["status"], refused["Code"])
    assert refused["Message"].startswith(words)
    assert "0" == ask(server, "GET", "/batches")["TotalCount"]
    assert [] == server.store.batches.with_pending_rows()


def test_a_byte_order_mark_before_the_first_line_counts_for_nothing(server):
    """A file of Windows begins with a mark of UTF-8; its batch is what it would be without."""
    accepted = post(server.client, BOM_UTF8 + body(rows(3)))
    assert (200, "night", "3") == (
        accepted["status"],
        accepted["Batch"]["Name"],
        accepted["Batch"]["RowCount"],
    )


def test_the_wrong_row_is_named(server):
    """A refusal says which row is wrong."""
    assert "Row 3: " in post(server.client, body([*rows(2), {"Object": "a/./b"}]))["Message"]


def test_a_signed_digest_covers_the_rows(server):
    """Where the signature covers a digest of the body, other rows are refused and none is stored."""
    client = Client(server.port, integrity=True)
    assert 200 == post(client, body(rows(2)))["status"]
    sent = client.raw("POST", "/batches", body(rows(2)), LINES)
    from stemline.testing.client import exchange

    answer: Answer = exchange(server.port, sent.replace(b"in/1.mp3", b"in/2.mp3"))
    assert 403 == answer.status
    assert "1" == ask(server, "GET", "/batches")["TotalCount"]


@pytest.mark.shows("POST /batches, GET /batches, GET /batches/{batch}: Batch, BatchList, BatchId, Manifest")
def test_rows_come_from_a_manifest(server, monkeypatch):
    """The rows are the lines of an object of the bucket; one that is missing or wrong is refused."""
    buckets: Any = type(_services(server).buckets)
    contents = {"lists/ok": body(rows(50)).partition(b"\n")[2], "lists/wrong": b"{}"}

    def pieces(_: Any, tenant: Any, key: str, *, max_bytes: int, within_s: float) -> Iterator[bytes]:
        assert (TENANT, True, True) == (tenant, max_bytes > 0, within_s > 0)
        if key not in contents:
            raise SourceNotFound
        yield from (contents[key][at : at + 100] for at in range(0, len(contents[key]), 100))

    monkeypatch.setattr(buckets, "pieces", pieces)

    def submit(key: str) -> Answer:
        return server.client.request(
            "POST", "/batches", json.dumps(COMMON | {"Manifest": {"Object": key}}).encode(), JSON
        )

    contents["lists/marked"] = BOM_UTF8 + contents["lists/ok"]
    for key in ("lists/ok", "lists/marked"):
        assert "50" == json.loads(submit(key).body)["Batch"]["RowCount"]
    for key, reason in (("lists/none", "The manifest cannot be read."), ("lists/wrong", "Row 1: ")):
        refused = json.loads(submit(key).body)
        assert ("InvalidArgument", True) == (refused["Code"], reason in refused["Message"])
    assert (
        "InvalidArgument"
        == json.loads(server.client.request("POST", "/batches", json.dumps(COMMON).encode(), JSON).body)[
            "Code"
        ]
    )
    assert "2" == ask(server, "GET", "/batches")["TotalCount"]


SECRET_LINES = [
    b'{"hunter2": "x"}',
    b'{"Object": "in/a", "hunter2": "x"}',
    b'{"Object": {"hunter2": "hunter2"}}',
    b'{"Object": "hunter2/../x"}',
    b'{"Object": "in/a", "UserData": ["hunter2", "x"]}',
    b'{"Object": "in/a", "Output": {"AuObject": "hunter2/"}}',
    b'{"Object": "in/a", "Output": "hunter2"}',
    b'{"Object": "in/a", "Output": {"hunter2": "x"}}',
    b'{"hunter2": {"hunter2": ["hunter2", ["hunter2"]]}}',
    b"hunter2=x",
    b'["hunter2"]',
    b'"hunter2"',
    b"<a>hunter2</a>",
    b"\xff hunter2",
    b'{"Object": 1e999999999999999999999999999999999999999, "hunter2": 1}',
]


def test_a_refused_manifest_shows_nothing_of_the_object(server, monkeypatch):
    """Any object of the bucket may be named as a manifest: who may only submit reads no part of it."""
    monkeypatch.setattr(
        type(_services(server).buckets), "pieces", lambda _, tenant, key, **__: iter([SECRET_LINES[int(key)]])
    )
    for number, line in enumerate(SECRET_LINES):
        named = json.dumps(COMMON | {"Manifest": {"Object": str(number)}}).encode()
        answer = server.client.request("POST", "/batches", named, JSON)
        assert (400, False) == (answer.status, b"hunter2" in answer.body), line


def _services(server: ApiServer) -> Any:
    from stemline.storage import Buckets

    class Found:
        buckets = Buckets(server.settings)

    return Found


def test_batches_of_others_are_unknown(server):
    """A batch that the bucket does not have is not found, whatever is asked of it."""
    unknown = "b" + "0" * 32
    assert "NoSuchResource" == server.client.get(f"/batches/{unknown}").code
    for change in ("pause", "resume", "cancel", "retry"):
        assert "NoSuchResource" == server.client.post(f"/batches/{unknown}/{change}", "").code


def test_a_full_queue_takes_rows_when_it_has_room(serve):
    """A batch larger than its queue is accepted; its rows become jobs as others end."""
    server = serve(queue_max_size=3)
    batch = post(server.client, body(rows(5)))["Batch"]["BatchId"]
    which = JobFilter(batch=batch, size=10)
    for fed in (3, 4, 5, 5):
        for _ in range(2):
            Feeder(server.store).feed()
            assert fed == server.store.jobs.count(TENANT, which).jobs
        fail(server)
    assert ["5", "1", "0", "0", "4", "0"] == counts(ask(server, "GET", f"/batches/{batch}")["Batch"])
