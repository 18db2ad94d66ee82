"""Attacks with signatures: long-lived ones, ones without Host, replays, other bodies."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from stemline.jobs.store import BucketFilter
from stemline.runtime.settings import Credential
from stemline.runtime.store import store_options
from stemline.testing import InMemoryStore
from stemline.testing.api_server import CREDENTIAL, ApiServer, api_settings
from stemline.testing.client import BUCKET, HOST, REGION, SECRET_ID, SECRET_KEY, Answer, exchange, submission
from stemline.wire import queries
from stemline.wire.integrity import integrity_headers
from stemline.wire.signature import DIGEST, NONCE, OBEYED, sign
from stemline.wire.signed_request import SignedRequest

Serve = Callable[..., ApiServer]
BODY = submission().encode()
DAY = 86400


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts API servers with a store in memory, and a credential that must sign digest and nonce."""
    with ExitStack() as stack:

        def start(**changes: Any) -> ApiServer:
            strict = Credential(secret_id="AKIDSTRICT", secret_key=SECRET_KEY, require_digest=True)
            settings = api_settings(credentials=(CREDENTIAL, strict), **changes)
            return stack.enter_context(ApiServer(settings, InMemoryStore(store_options(settings))))

        yield start


def request(
    *,
    method: str = "POST",
    target: str = "/jobs",
    body: bytes = BODY,
    headers: Mapping[str, str] | None = None,
    signed: tuple[str, ...] = ("host", DIGEST, NONCE, *OBEYED),
    host: str = HOST,
    start: int = -60,
    span: int = 3600,
    secret_id: str = SECRET_ID,
) -> bytes:
    """Return a signed request as bytes; `start` is relative to now, `headers` default to the body's."""
    given = integrity_headers(body) if headers is None else headers
    sent = [("host", host.encode()), ("content-length", str(len(body)).encode())]
    sent += [(name, value.encode()) for name, value in given.items()]
    begin = int(time.time()) + start
    authorization = sign(
        SignedRequest.of(method, target, sent),
        secret_id=secret_id,
        secret_key=SECRET_KEY,
        start=begin,
        end=begin + span,
        headers=signed,
    )
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in sent)
    head = f"{method} {target} HTTP/1.1\r\n".encode() + lines
    return head + f"authorization: {authorization}\r\n\r\n".encode() + body


def ask(server: ApiServer, **changes: Any) -> Answer:
    return exchange(server.port, request(**changes))


def jobs(server: ApiServer) -> int:
    return len(server.client.get("/jobs", tag="VoiceSeparate", size="100").texts("JobsDetail/JobId"))


@pytest.mark.parametrize(
    ("span", "status"),
    [(3600, 200), (DAY, 200), (DAY + 60, 200), (2 * DAY, 403), (28 * 365 * DAY, 403), (10**10, 403)],
)
def test_no_signature_is_valid_for_long(serve: Serve, span: int, status: int) -> None:
    """A signature may be valid for a day and the time by which SDKs put its start into the past."""
    answer = ask(serve(), span=span)
    assert status == answer.status
    if status == 403:
        assert "AccessDenied" == answer.code
        assert "86400 s" in (answer.text("Message") or "")


def test_the_longest_span_is_a_setting(serve: Serve) -> None:
    """An operator may allow longer and shorter spans."""
    assert 200 == ask(serve(signature_max_span_s=30 * DAY), span=29 * DAY).status
    assert 403 == ask(serve(signature_max_span_s=600, clock_tolerance_s=60), span=3600).status


def test_host_is_signed(serve: Serve) -> None:
    """A signature without Host is refused on the host of every tenant; a setting allows it."""
    server = serve()
    for host in (HOST, f"other-1250000000.ci.{REGION}.myqcloud.com"):
        assert "SignatureDoesNotMatch" == ask(server, signed=(), headers={}, host=host).code
    assert [] == server.store.tenants.search(BucketFilter()).items
    assert 200 == ask(serve(require_signed_host=False), signed=(), headers={}).status


def test_a_copy_of_a_request_is_refused(serve: Serve) -> None:
    """The same bytes a second time are AccessDenied for every method, and submit nothing."""
    server = serve()
    for method, target, body in (
        ("POST", "/jobs", BODY),
        ("GET", "/queue", b""),
        ("POST", "/asrbucket", b""),
    ):
        data = request(method=method, target=target, body=body)
        first, second = exchange(server.port, data), exchange(server.port, data)
        assert (200, 403, "AccessDenied") == (first.status, second.status, second.code)
    assert 1 == jobs(server)


def test_two_servers_share_their_nonces(serve: Serve) -> None:
    """A copy that is sent to another API server of the same store is refused too."""
    server = serve()
    with ApiServer(server.settings, server.store) as other:
        data = request()
        assert [200, 403] == [exchange(port, data).status for port in (server.port, other.port)]


def test_a_nonce_belongs_to_its_credential(serve: Serve) -> None:
    """What one client uses as a nonce is free for every other."""
    server = serve()
    headers = integrity_headers(BODY)
    assert 200 == ask(server, headers=headers).status
    assert 200 == ask(server, headers=headers, secret_id="AKIDSTRICT").status
    assert 403 == ask(server, headers=headers, secret_id="AKIDSTRICT", start=-61).status


def test_another_body_is_refused(serve: Serve) -> None:
    """A signed digest binds the body; the refused request does not use up the nonce of the true one."""
    server = serve()
    data = request()
    other = data.replace(b"in/song.mp3", b"in/gong.mp3")
    assert "SignatureDoesNotMatch" == exchange(server.port, other).code
    assert 200 == exchange(server.port, data).status
    assert 1 == jobs(server)


@pytest.mark.parametrize("change", [(b"in/song.mp3", b"in/gong.mp3"), (b'.mp3"}', b".mp3]}")])
def test_another_body_in_lines_is_refused(serve: Serve, change: tuple[bytes, bytes]) -> None:
    """A body that is read in parts uses a nonce only if it is the signed one; a copy of it is refused."""
    server = serve()
    first = {
        "Tag": "VoiceSeparate",
        "Operation": {
            "VoiceSeparate": {"AudioMode": "IsAudio"},
            "Output": {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/${jobid}"},
        },
    }
    body = json.dumps(first).encode() + b'\n{"Object": "in/song.mp3"}\n'
    headers = {
        **integrity_headers(body),
        "content-type": "application/x-ndjson",
        "accept": "application/json",
    }
    data = request(target="/batches", body=body, headers=headers, secret_id="AKIDSTRICT")
    assert exchange(server.port, data.replace(*change)).status in {400, 403}
    assert exchange(server.port, data[:-4] + b"    ").status in {400, 403}
    assert 200 == exchange(server.port, data).status
    assert "AccessDenied" == json.loads(exchange(server.port, data).body)["Code"]


@pytest.mark.parametrize("name", [DIGEST, NONCE])
def test_signed_headers_are_not_changed(serve: Serve, name: str) -> None:
    """Another digest or nonce, a second one, or none, breaks the signature."""
    server = serve()
    headers = integrity_headers(BODY)
    data = request(headers=headers)
    line = f"{name}: {headers[name]}\r\n".encode()
    other = integrity_headers(b"other")[name]
    for changed in (
        b"",
        f"{name}: {other}\r\n".encode(),
        line + line,
        line + f"{name}: {other}\r\n".encode(),
    ):
        assert "SignatureDoesNotMatch" == exchange(server.port, data.replace(line, changed)).code
    assert 0 == jobs(server)


@pytest.mark.parametrize(
    "headers",
    [
        {DIGEST: hashlib.sha256(BODY).hexdigest().upper()},
        {DIGEST: hashlib.sha1(BODY).hexdigest()},
        {DIGEST: ""},
        {NONCE: "short"},
        {NONCE: "x" * 129},
        {NONCE: "with space and more"},
        {NONCE: "a:b:c:d:e:f:g:h:i:j"},
    ],
)
def test_malformed_headers_are_refused(serve: Serve, headers: Mapping[str, str]) -> None:
    """A digest or nonce of another form is refused, not taken for none."""
    assert "SignatureDoesNotMatch" == ask(serve(), headers=headers).code


@pytest.mark.parametrize("signed", [(), ("host",), ("host", DIGEST), ("host", NONCE)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_credential_may_have_to_sign_both(serve: Serve, signed: tuple[str, ...], method: str) -> None:
    """With require_digest, a request is refused unless its signature covers digest and nonce."""
    server = serve(require_signed_host=False)
    target, body = ("/jobs", BODY) if method == "POST" else ("/queue", b"")
    common: dict[str, Any] = {"method": method, "target": target, "body": body, "secret_id": "AKIDSTRICT"}
    assert "SignatureDoesNotMatch" == ask(server, signed=signed, **common).code
    assert "SignatureDoesNotMatch" == ask(server, signed=signed, headers={}, **common).code
    assert 200 == ask(server, **common).status


@pytest.mark.parametrize("added", ["additions=1", "queueId=p1&additions=1", "%61dditions=1", "=", "A"])
def test_no_parameter_can_be_added(serve: Serve, added: str) -> None:
    """With require_digest, a parameter that the signature does not cover is refused in any spelling."""
    server = serve()
    plain = request(method="GET", target="/queue", body=b"", secret_id="AKIDSTRICT")
    assert (
        "SignatureDoesNotMatch"
        == exchange(server.port, plain.replace(b"/queue", f"/queue?{added}".encode())).code
    )
    assert (
        200 == ask(server, method="GET", target="/queue?additions=1", body=b"", secret_id="AKIDSTRICT").status
    )


@pytest.mark.parametrize("name", OBEYED)
def test_no_header_that_is_obeyed_can_be_added(serve: Serve, name: str) -> None:
    """With require_digest, what changes the meaning of a request is signed: a copy cannot get another key."""
    server, value = serve(), {"content-type": "application/xml", "prefer": "wait=1"}.get(name, "1-1")
    common: dict[str, Any] = {"secret_id": "AKIDSTRICT", "headers": {**integrity_headers(BODY), name: value}}
    refused = ask(server, signed=("host", DIGEST, NONCE), **common)
    assert (403, "SignatureDoesNotMatch") == (refused.status, refused.code)
    assert name in (refused.text("Message") or "")
    assert 0 == jobs(server)
    assert 200 == ask(server, **common).status


def test_every_header_of_an_operation_is_obeyed() -> None:
    """No operation reads a header that require_digest forgets."""
    tables = [value for name, value in vars(queries).items() if name.endswith("HEADERS")]
    assert len(tables) > 3
    assert {row.name.lower() for table in tables for row in table.elements} <= {*OBEYED}


@pytest.mark.parametrize("spelling", ["nexttoken", "NextToken", "nextTo%E2%84%AAen", "n%65xtTo%e2%84%aaen"])
def test_no_parameter_stands_for_a_signed_one(serve: Serve, spelling: str) -> None:
    """What is put before a signed parameter either breaks the signature or is another parameter."""
    server = serve()
    jobs = "/jobs?tag=VoiceSeparate&nextToken=1"
    data = request(method="GET", target=jobs, body=b"", headers={}, signed=("host",))
    changed = data.replace(b"/jobs?", f"/jobs?{spelling}=malformed&".encode())
    assert exchange(server.port, changed).code in {"", "SignatureDoesNotMatch"}


def test_honest_clients_of_the_vendor_are_not_disturbed(serve: Serve) -> None:
    """Two requests with the same signature within a second, as SDKs send them, are two requests."""
    server = serve()
    data = request(headers={}, signed=("host",))
    assert [200, 200] == [exchange(server.port, data).status for _ in range(2)]
    assert 2 == jobs(server)


def test_a_temporary_key_signs_digests_too(serve: Serve) -> None:
    """Tokens and digests go together."""
    settings = api_settings(
        credentials=(
            Credential(secret_id="AKIDTOKEN", secret_key=SECRET_KEY, token="tok-tok", require_digest=True),
        )
    )
    with ApiServer(settings, InMemoryStore(store_options(settings))) as server:
        headers = {**integrity_headers(BODY), "x-cos-security-token": "tok-tok"}
        assert 200 == ask(server, headers=headers, secret_id="AKIDTOKEN").status


def test_our_client_sends_both(serve: Serve) -> None:
    """The client of the tools satisfies a credential that demands digests."""
    server = serve()
    client = dataclasses.replace(server.client, secret_id="AKIDSTRICT", integrity=True)
    assert 200 == client.post("/jobs", BODY).status
    assert 200 == client.get("/queue").status
