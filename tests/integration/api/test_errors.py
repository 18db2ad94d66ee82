"""Every error code of the wire is reached, and no hostile request causes a 5xx."""

from __future__ import annotations

import random
import re
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stemline.runtime.settings import Credential
from stemline.testing.api_server import CREDENTIAL, ApiServer
from stemline.testing.client import HOST, REGION, SECRET_ID, Answer, Client, exchange, submission
from stemline.testing.processes import eventually
from stemline.wire.errors import ANSWERS
from tests.support.rounds import rounds

TEMPLATE = (
    "<Request><Tag>VoiceSeparate</Tag><Name>{}</Name><AudioMode>IsAudio</AudioMode>"
    "<AudioConfig><Codec>mp3</Codec></AudioConfig></Request>"
)
KEYS = (
    CREDENTIAL,
    Credential(secret_id="old", secret_key="k", expires_at=1),
    Credential(secret_id="reader", secret_key="k", read_only=True),
    Credential(secret_id="spent", secret_key="k", daily_jobs=1),
)
Reach = Callable[[ApiServer], Answer]
REACHED: dict[tuple[str, int], Reach] = {
    ("InvalidArgument", 400): lambda s: opened(s).post("/jobs", submission(mode="X")),
    ("InvalidArgument", 409): lambda s: conflict(s.client),
    ("MissingContent", 400): lambda s: opened(s).post("/jobs", ""),
    ("InvalidContent", 400): lambda s: opened(s).post("/jobs", "<Request>"),
    ("InvalidHost", 400): lambda s: Client(s.port, host="nowhere").get("/jobs/j1"),
    ("AsrBucketUnBinded", 400): lambda s: s.client.post("/jobs", submission()),
    ("TemplateNotFound", 400): lambda s: opened(s).post(
        "/jobs", submission(operation="<TemplateId>t</TemplateId>")
    ),
    ("TemplateNotFound", 404): lambda s: s.client.delete("/template/t1"),
    ("TemplateNameDuplicate", 400): lambda s: last(new_template(s, "a") for _ in "ab"),
    ("CreatedTemplateNumLimit", 400): lambda s: last(new_template(s, name) for name in "abc"),
    ("QueueNotFound", 400): lambda s: opened(s).post("/jobs", submission(request="<QueueId>p</QueueId>")),
    ("QueueNotFound", 404): lambda s: s.client.put("/queue/p", "<Request><Name>n</Name></Request>"),
    ("BindedBucketNumLimit", 400): lambda s: last(open_for(s, bucket) for bucket in ("a-1", "b-1")),
    ("NoSuchResource", 404): lambda s: s.client.get("/nothing"),
    ("NoSuchBucket", 404): lambda s: s.client.delete("/asrbucket"),
    ("MethodNotAllowed", 405): lambda s: s.client.delete("/jobs"),
    ("AccessDenied", 403): lambda s: s.client.request("GET", "/jobs/j1", signed=False),
    ("InvalidAccessKeyId", 403): lambda s: Client(s.port, secret_id="nobody").get("/jobs/j1"),
    ("SignatureDoesNotMatch", 403): lambda s: Client(s.port, secret_key="wrong").get("/jobs/j1"),
    ("RequestTimeTooSkewed", 403): lambda s: Client(s.port, clock=time.time() + 3600).get("/jobs/j1"),
    ("BudgetExceeded", 403): lambda s: last(spender(s).post("/jobs", submission()) for _ in "ab"),
    ("ExpiredToken", 403): lambda s: Client(s.port, secret_id="old", secret_key="k").get("/jobs/j1"),
    ("SlowDown", 503): lambda s: last(opened(s).post("/jobs", submission()) for _ in "ab"),
}


def last(answers: Iterable[Answer]) -> Answer:
    return list(answers)[-1]


def opened(server: ApiServer) -> Client:
    server.client.request("POST", "/asrbucket")
    return server.client


def spender(server: ApiServer) -> Client:
    """A client whose credential may submit one job a day."""
    opened(server)
    return Client(server.port, secret_id="spent", secret_key="k")


def open_for(server: ApiServer, bucket: str) -> Answer:
    return Client(server.port, host=f"{bucket}.ci.{REGION}.myqcloud.com").request("POST", "/asrbucket")


def new_template(server: ApiServer, name: str) -> Answer:
    return opened(server).post("/template", TEMPLATE.format(name))


def conflict(client: Client) -> Answer:
    client.request("POST", "/asrbucket")
    key = {"Idempotency-Key": "k"}
    return last(client.post("/jobs", submission(source=source), key) for source in "ab")


def bug(server: ApiServer) -> Answer:
    """Make the server fail with an unexpected exception."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    server.store.jobs.get = fail  # type: ignore[method-assign, assignment]
    return server.client.get("/jobs/j1")


REACHED["InternalError", 500] = bug


@pytest.mark.parametrize(("code", "status"), REACHED)
def test_reached(serve: Callable[..., ApiServer], code: str, status: int) -> None:
    """Each code is reached with its status, and its answer has the form that every SDK can read."""
    server = serve(
        credentials=KEYS,
        auto_open=False,
        templates_per_bucket=2,
        buckets_per_region=1,
        queue_max_size=1,
    )
    answer = REACHED[code, status](server)
    assert (code, status) == (answer.code, answer.status)
    assert ["Code", "Message", "Resource", "RequestId", "TraceId"] == [child.tag for child in answer.xml]
    assert all(child.text and not len(child) for child in answer.xml)
    assert answer.headers["x-ci-trace-id"] == answer.text("TraceId")
    assert "application/xml" == answer.headers["content-type"]
    assert (status == 503) == ("retry-after" in answer.headers)


def test_every_code_is_in_the_table() -> None:
    """No error that the interface can answer with is left out above."""
    assert set(REACHED) == set(ANSWERS.values())


def test_expired(serve: Callable[..., ApiServer]) -> None:
    """An expired signature has the message and the Date header with which Node corrects its clock."""
    answer = Client(serve().port, clock=time.time() - 7200).get("/jobs/j1")
    assert ("AccessDenied", "Request has expired") == (answer.code, answer.text("Message"))
    assert answer.headers["date"]


def test_slow_down_says_when(server: ApiServer) -> None:
    """A full queue is answered with SlowDown, so that SDKs try again; nothing was stored."""
    queue = server.client.get("/asrqueue").text("QueueList/QueueId")
    server.client.put(f"/asrqueue/{queue}", "<Request><MaxSize>1</MaxSize></Request>")
    server.client.post("/jobs", submission())
    answer = server.client.post("/jobs", submission())
    assert ("SlowDown", "5") == (answer.code, answer.headers["retry-after"])
    assert 1 == len(server.client.get("/jobs", tag="VoiceSeparate", queueId=queue).texts("JobsDetail"))


def test_secrets_stay_inside(serve: Callable[..., ApiServer]) -> None:
    """No refusal shows a key or what the signature should have been."""
    server = serve(credentials=(Credential(secret_id=SECRET_ID, secret_key="very-secret"),))
    answer = server.client.get("/jobs/j1")
    assert "SignatureDoesNotMatch" == answer.code
    assert b"very-secret" not in answer.body
    assert not re.search(rb"[0-9a-f]{40}", answer.body)


HOSTILE = {
    "entity bomb": b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(12))
    + b"]><Request>&m;</Request>",
    "external entity": b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Request><Tag>&x;</Tag></Request>',
    "nested": b"<Request>" + b"<a>" * 200_000,
    "100,000 fields": b"<Request>" + b"<a>1</a>" * 100_000 + b"</Request>",
    "one field of a megabyte": b"<Request><Tag>" + b"x" * 1_000_000 + b"</Tag></Request>",
    "attributes": b"<Request " + b" ".join(b'a%d=""' % i for i in range(90_000)) + b"/>",
    "NUL": b"<Request><Tag>\0</Tag></Request>",
    "not UTF-8": b"<Request><Tag>\xff\xfe</Tag></Request>",
    "zeros": b"\0" * 1_000_000,
    "nested JSON": b"[" * 1_000_000,
    "JSON fields": b"{" + b",".join(b'"%d":1' % i for i in range(90_000)) + b"}",
    "JSON number": b'{"a":' + b"9" * 1_000_000 + b"}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies(client: Client, name: str) -> None:
    """Every hostile body costs less than a second, and memory stays flat however often it comes."""
    headers = {"Content-Type": "application/json"} if "JSON" in name else {}
    times: list[float] = []
    before = 0
    for repeat in range(12):
        began = time.process_time()  # of the server too, which runs in this process
        answer = client.post("/jobs", HOSTILE[name], headers | {"Accept": "application/xml"})
        times.append(time.process_time() - began)
        assert (400, True) == (answer.status, answer.code in {"InvalidContent", "InvalidArgument"})
        if repeat == 3:
            before = resident_bytes()
    assert statistics.median(times) < 1
    assert resident_bytes() - before < 10 << 20


def resident_bytes() -> int:
    """Memory of this process, which is the server's too."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("memory is read from /proc")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def test_fuzzed_requests(serve: Callable[..., ApiServer]) -> None:
    """Damaged requests by the thousand (seeded) get an answer below 500 or none; the server keeps serving."""
    chance = random.Random(20261123)
    server = serve(header_timeout_s=0.3, body_timeout_s=0.3)
    client = server.client
    good = [
        client.raw("POST", "/jobs", submission().encode()),
        client.raw("GET", "/jobs?tag=VoiceSeparate&states=Success%2CFailed&nextToken="),
        client.raw("PUT", "/jobs/j0?cancel"),
        client.raw("POST", "/template", TEMPLATE.format("a").encode()),
        client.raw("GET", "/template?ids=t1,t2&name=%E4%BA%BA"),
        client.raw("GET", "/asrqueue?queueIds=p1"),
        client.raw("DELETE", "/template/t1"),
        client.raw("GET", "/asrbucket?regions=ap-x"),
    ]
    requests = [damage(chance.choice(good), chance) for _ in range(rounds(1_000, 20_000))]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda data: status_of(server.port, data), requests))
    assert not [data for data, status in zip(requests, statuses, strict=True) if status >= 500]
    assert {200, 400, 403, 404} <= set(statuses)
    eventually(lambda: status_of(server.port, client.raw("GET", "/jobs/j1")) == 200, 180, "an answer")


#: What may appear anywhere; signed parts are hit as often as others.
TOKENS = [
    b"%",
    b"%00",
    b"%FF",
    b";",
    b"&",
    b"=",
    b"+",
    b"\0",
    b"\xff",
    b"<",
    b">",
    b"]]>",
    b"<!DOCTYPE",
    b"q-ak=",
]
TOKENS += [b"q-sign-time=9;1", b"\r\n", b" ", b"9" * 30, b"{", b'"', b"&#0;", b"\xc3\x28", b"../", b",,,"]


def damage(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(broken))
        kind = chance.randrange(4)
        if kind == 0:
            broken[at:at] = chance.choice(TOKENS)
        elif kind == 1:
            del broken[at : at + chance.randint(1, 10)]
        elif kind == 2:
            broken[at] = chance.randrange(256)
        else:
            other = chance.randrange(len(broken))
            broken[at:at] = broken[other : other + chance.randint(1, 30)]
    return bytes(broken)


def status_of(port: int, data: bytes) -> int:
    """The status of the answer; 0 where the server closes without one."""
    try:
        return exchange(port, data, timeout_s=120).status
    except (OSError, KeyError):
        return 0


def test_resource_is_never_empty(server: ApiServer) -> None:
    """Resource names host and path also where both are strange."""
    data = f"GET /%00%01%FF HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    assert (exchange(server.port, data).text("Resource") or "").startswith(HOST)
