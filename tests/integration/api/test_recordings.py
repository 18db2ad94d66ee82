"""Requests of real SDKs, replayed byte for byte through a real socket."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from stemline.jobs.store import RedisStore
from stemline.runtime.settings import Credential, HostRoute
from stemline.testing.api_server import ApiServer
from stemline.testing.client import SECRET_ID, SECRET_KEY, Answer, exchange
from tests.support.recordings import Recording, recordings

KEYS = {
    "credentials": (Credential(secret_id=SECRET_ID, secret_key=SECRET_KEY),),
    "hosts": {"127.0.0.1": HostRoute(bucket="demo-1250000000", region="ap-chongqing")},
}
REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"}


def send(server: ApiServer, clock: list[float], recording: Recording, data: bytes | None = None) -> Answer:
    clock[0] = float(recording.signed_at + 60)
    assert isinstance(server.store, RedisStore)
    server.store.client.flushall()
    return exchange(server.port, data if data is not None else recording.data)


@pytest.mark.shows("host with or without port, any case")
def test_replayed(serve: Callable[..., ApiServer]) -> None:
    """Every recording passes verification and is answered according to its request."""
    clock = [0.0]
    server = serve(clock=lambda: clock[0], **KEYS)
    answers = {r.name: send(server, clock, r) for r in recordings()}
    assert not {name: a.code for name, a in answers.items() if a.code in REFUSALS or a.status >= 500}
    for recording in recordings():
        name, code = recording.name, answers[recording.name].code
        operation = re.sub(r"^(py|node)-[a-z_]+(-token)?-", "", name)
        if b"<Operation>" not in recording.data and operation.startswith("create_job"):
            assert "InvalidArgument" == code, name
        else:
            assert EXPECTED.get(name, EXPECTED[operation]) == code, name


UNKNOWN_JOB = "InvalidArgument"
EXPECTED = {
    "cancel_job": UNKNOWN_JOB,
    "cancel_job_as_official_demo": UNKNOWN_JOB,
    "cancel_job_with_query": UNKNOWN_JOB,
    "create_asr_style_multi_operation": "InvalidArgument",  # its outputs name no bucket
    "create_job": "QueueNotFound",
    "create_job-RETRY-of-503": "QueueNotFound",
    "create_job_noct": "QueueNotFound",
    "create_template": "",
    "delete_template": "TemplateNotFound",
    "get_job": "",
    "get_jobs_multi": "",
    "list_jobs": "",
    "list_jobs_min": "",
    "py-ipport-list_jobs": "InvalidArgument",  # with a nextToken that no list returned
    "py-proxy-list_jobs": "InvalidArgument",
    "list_queues": "",
    "list_queues_filter": "",
    "list_templates": "",
    "list_templates_filter": "",
    "media_bucket": "NoSuchResource",  # a service that is not ours
    "update_queue_pause": "QueueNotFound",
    "update_template": "TemplateNotFound",
}


@pytest.mark.shows("q-key-time in the place of q-sign-time")
def test_each_with_one_byte_changed(serve: Callable[..., ApiServer]) -> None:
    """The same bytes with one signed byte changed are refused, whichever part it is in."""
    clock = [0.0]
    server = serve(clock=lambda: clock[0], **KEYS)
    tried = 0
    for recording in recordings():
        if "media_bucket" in recording.name:
            continue  # its path is unknown, which is answered before anything else
        for data in damaged(recording):
            answer = send(server, clock, recording, data)
            refused = answer.status == 403 and answer.code == "SignatureDoesNotMatch"
            assert refused or answer.code == "InvalidHost", (recording.name, data[:300], answer.body)
            tried += 1
    assert tried > 300


def damaged(recording: Recording) -> list[bytes]:
    """The raw request with one byte changed: in the signature, a signed header, a signed value, the path."""
    data = recording.data
    head = data[: data.index(b"\r\n\r\n")]
    signature = head.index(b"q-signature=") + len("q-signature=")
    places = [signature, signature + 39]
    listed = re.search(rb"q-header-list=([^&]*)", head)
    assert listed is not None
    for name in filter(None, listed[1].split(b";")):
        header = re.search(rb"(?im)^%s: *([^\r]+)" % re.escape(name), head)
        assert header is not None
        places.append(header.start(1))
    target = head.split(b" ", 2)[1]
    start = head.index(target)
    path = re.search(rb"(?:https?://[^/]*)?(/[^? ]*)(?:\?([^ ]*))?$", target)
    assert path is not None
    if path[1].count(b"/") > 1:
        places.append(start + path.end(1) - 1)
    if b"q-url-param-list=&" not in head and path[2]:
        values = [m.end(1) - 1 for m in re.finditer(rb"=([^&]+)", path[2])]
        places += [start + path.start(2) + value for value in values]
    return [data[:at] + other(data[at]) + data[at + 1 :] for at in places]


def other(byte: int) -> bytes:
    """Another byte of the same kind, so that the request stays well-formed HTTP."""
    character = chr(byte)
    if character.isdigit():
        return b"%d" % (int(character) + 1 if character != "9" else 8)
    return b"e" if character != "e" else b"a"
