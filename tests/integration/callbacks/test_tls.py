"""Receivers behind TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time

import pytest

from stemline.callbacks import http
from stemline.testing.receiver import receiving
from tests.conftest import missing


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for localhost: its file, with the key beside it."""
    if shutil.which("openssl") is None:
        missing("openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    command = ["openssl", *words.split(), "-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "tls.crt"


@pytest.fixture
def context(certificate):
    """The server's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


@pytest.fixture
def fresh_trust():
    """Load the trusted authorities anew for the test."""
    http.tls_context.cache_clear()
    yield
    http.tls_context.cache_clear()


def test_an_unknown_authority_is_not_trusted(bench, context, fresh_trust):
    """With a certificate of an unknown authority nothing of the callback is sent."""
    bench = bench()
    with receiving(tls=context) as receiver:
        after = bench.try_(bench.post_to(f"https://localhost:{receiver.port}/"))
    assert "unreachable" == after.attempts[0].status
    assert after.attempts[0].answer.startswith("its certificate is not trusted: ")
    assert [] == receiver.received


def test_an_own_authority_is_trusted_where_it_is_named(bench, context, certificate, fresh_trust, monkeypatch):
    """SSL_CERT_FILE makes a private authority trusted; the name must still match the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    bench = bench()
    with receiving(tls=context) as receiver:
        assert "delivered" == bench.try_(bench.post_to(f"https://localhost:{receiver.port}/")).status
        assert "delivered" == bench.try_(bench.post_to(f"https://localhost.:{receiver.port}/")).status
        after = bench.try_(bench.post_to(f"https://127.0.0.1:{receiver.port}/"))
    assert "unreachable" == after.attempts[0].status
    assert 2 == len(receiver.received)


def test_a_handshake_that_hangs_is_cut_off(bench, fresh_trust):
    """A receiver that accepts but never completes the handshake is a timeout."""
    bench = bench(callback_timeout_s=0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        after = bench.try_(bench.post_to(f"https://127.0.0.1:{silent.getsockname()[1]}/"))
    assert "timeout" == after.attempts[0].status
    assert time.monotonic() - began < 180  # it would wait for ever
