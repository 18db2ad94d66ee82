"""What a separation worker finds wrong before it claims a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stemline.runtime.settings import Settings
from stemline.storage import Buckets
from stemline.storage.access_check import BucketsUnusable
from stemline.testing.s3_proxy import FaultyProxy
from tests.support.certificates import make_certificate, server_context
from tests.support.measured import MEASURED

ACCESS = {"access_key": "key", "secret_key": "secret"}


def start(valkey_url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a separation worker that must refuse."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**known, "STEMLINE_REDIS_URL": valkey_url, **variables, **MEASURED}
    command = [sys.executable, "-m", "stemline", "worker", "separate"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("changes", "variables", "reason"),
    [
        ({"access_key": "unknown"}, {}, "the store refuses the keys (InvalidAccessKeyId)"),
        pytest.param(
            {"secret_key": "wrong"},
            {},
            "the store refuses the keys (SignatureDoesNotMatch)",
            marks=pytest.mark.thorough,
        ),
        ({"access_key": "", "secret_key": ""}, {"AWS_PROFILE": "gone"}, "profile (gone) could not"),
        ({"ca_bundle": "/no/such/file"}, {}, "the authorities of /no/such/file cannot be read"),
        pytest.param(
            {},
            {"AWS_CA_BUNDLE": "/no/such/bundle"},
            "the authorities of /no/such/bundle cannot be read",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_a_worker_with_unusable_buckets_refuses_to_start(
    valkey, valkey_server, s3, changes, variables, reason
):
    """Wrong keys, a missing profile and missing authorities end the worker with a line that says which."""
    access = {
        "endpoint_url": s3.endpoint_url,
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
        **changes,
    }
    buckets = json.dumps({"*": access})
    done = start(valkey_server.url, STEMLINE_BUCKETS=buckets, **variables)
    assert done.returncode not in {0, None}
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("buckets", [None, "{}"])
def test_a_machine_without_any_bucket_is_refused(tmp_path, buckets):
    """Without a single entry every job would fail: the check before the start says what to set."""
    file = tmp_path / "buckets.json"
    file.write_text(buckets or "")
    settings = Settings(buckets_file=file if buckets else None)
    with pytest.raises(BucketsUnusable, match=r"No bucket is configured\. Set STEMLINE_BUCKETS or"):
        Buckets(settings).check_access(max_skew_s=10)


def test_an_untrusted_certificate_of_the_store_is_noticed(s3, tmp_path):
    """A store whose certificate nobody trusts is refused with that reason, and used with its `ca_bundle`."""
    certificate = make_certificate(tmp_path, "store", "IP:127.0.0.1")
    proxy = FaultyProxy(s3.endpoint_url, tls=server_context(certificate))
    access = {
        "endpoint_url": proxy.endpoint_url,
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
    }
    try:
        with pytest.raises(BucketsUnusable, match="its certificate is not trusted"):
            Buckets(Settings(buckets={"*": access})).check_access(max_skew_s=10)
        trusted = {**access, "ca_bundle": str(certificate)}
        Buckets(Settings(buckets={"*": trusted})).check_access(max_skew_s=10)
    finally:
        proxy.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_is_noticed_by_the_date_of_the_store(hours):
    """A store whose answer has another time than this machine is noticed, in either direction."""

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        buckets = Buckets(Settings(buckets={"*": {"endpoint_url": url, **ACCESS}}))
        with pytest.raises(BucketsUnusable, match=r"clock of this machine is 3[56]\d\d s (behind|ahead of)"):
            buckets.check_access(max_skew_s=10)
        buckets.check_access(max_skew_s=4000)
    finally:
        server.shutdown()
        server.server_close()


def test_a_store_that_does_not_answer_is_no_reason_to_refuse(s3):
    """An outage passes, and a missing bucket concerns one tenant: neither keeps a worker from starting."""
    gone = {"endpoint_url": "http://127.0.0.1:1", **ACCESS}
    here = {"endpoint_url": s3.endpoint_url, "access_key": s3.access_key, "secret_key": s3.secret_key}
    Buckets(Settings(buckets={"gone": gone, "missing-bucket": here, "*": here})).check_access(max_skew_s=10)


def test_the_check_of_settings_opens_the_files(tmp_path):
    """`stemline settings --check` names each file that is missing or holds something else."""
    (tmp_path / "no.pem").write_text("nothing")
    (tmp_path / "buckets.json").write_text('{"a": 1}')
    variables = {
        "STEMLINE_CREDENTIALS_FILE": str(tmp_path / "gone.json"),
        "STEMLINE_BUCKETS_FILE": str(tmp_path / "buckets.json"),
        "STEMLINE_TLS_CERTIFICATE": str(tmp_path / "no.pem"),
        "STEMLINE_TLS_KEY": str(tmp_path / "no.pem"),
        "STEMLINE_REDIS_CA": str(tmp_path / "no.pem"),
    }
    command = [sys.executable, "-m", "stemline", "settings", "--check"]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert 1 == done.returncode
    for name in set(variables) - {"STEMLINE_TLS_KEY"}:
        assert f"{name}: " in done.stderr
