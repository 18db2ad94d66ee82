"""The doctor, on the running service and on one that is broken in every way it knows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from tests.integration.observe.conftest import SECRETS
from tests.support.wire import BUCKET, REGION


@pytest.fixture
def examine(service, monkeypatch: pytest.MonkeyPatch):
    """Runs the doctor under the service's settings, with some of them changed."""

    def run(*words: str, **changes: str) -> tuple[int, list[dict[str, Any]]]:
        for name, value in {**service.env, **changes}.items():
            monkeypatch.setenv(name, value)
        ran = CliRunner().invoke(main, ["doctor", "--json", *words])
        found = json.loads(ran.stdout)
        assert not [what for what, secret in SECRETS.items() if secret in ran.output]
        return ran.exit_code, found

    return run


def faults(found: list[dict[str, Any]], verdict: str = "bad") -> str:
    """Everything that was found with that verdict, in one text."""
    return "\n".join(f"{f['part']}: {f['found']} -> {f['mend']}" for f in found if f["verdict"] == verdict)


def test_a_service_that_works_is_well(service, examine):
    """On the running service nothing is bad, every part is looked at, and buckets are left as they were."""
    client = service.s3.client()
    before = {o["Key"] for o in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    status, found = examine("--receiver", service.receiver.url)
    assert "" == faults(found)
    assert 0 == status
    parts = {"store", "clock", "broker", "buckets", "weights", "device", "callbacks", "scratch", "telemetry"}
    assert parts == {f["part"] for f in found}
    told = faults(found, "ok")
    for text in (
        "writes its append-only file",
        "never evicts",
        "separate.0 is served by 1",
        "callbacks is served by 1",
        f"{REGION}/{BUCKET} can be read, written to and cleared",
        "onnxruntime on cpu",
        "127.0.0.1 can be reached",
        "secrets to sign them are set",
        "trace collector",
    ):
        assert text in told
    assert before == {o["Key"] for o in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    client.close()
    assert [] == uploads


def test_read_only_writes_nothing(examine):
    """With --read-only buckets are asked, not written to."""
    _, found = examine("buckets", "--read-only")
    assert "nothing was written" in faults(found, "ok")


@pytest.mark.parametrize(
    ("words", "changes", "told"),
    [
        (["store"], {"REDIS_URL": "redis://127.0.0.1:1/0"}, "store: 127.0.0.1:1 does not answer"),
        (["broker"], {"BROKER_URL": "redis://127.0.0.1:1/0"}, "broker: 127.0.0.1:1 does not answer"),
        (["buckets", "--bucket", f"{REGION}/none-1250000000"], {}, "none-1250000000 cannot be written to"),
        (["buckets"], {"BUCKETS": "{}"}, "no bucket is configured"),
        (["weights"], {"MODELS_DIR": "/nonexistent"}, "run `stemline models pull 2stems`"),
        (["device"], {"DEVICE": "cuda"}, "device: "),
        (["callbacks", "--receiver", "http://192.168.0.1/"], {}, "is a private address"),
        (["callbacks", "--receiver", "http://127.0.0.1:1/"], {}, "cannot be reached"),
        (["callbacks", "--receiver", "http://no.such.invalid/"], {}, "has no address"),
        (
            ["callbacks"],
            {"CALLBACK_PROXY": "http://me:secret-pw@127.0.0.1:1"},
            "the proxy at 127.0.0.1:1 cannot",
        ),
        (["scratch"], {"SCRATCH_DIR": "/nonexistent"}, "set STEMLINE_SCRATCH_DIR"),
        (["telemetry"], {"OTLP_ENDPOINT": "http://127.0.0.1:1"}, "the trace collector at 127.0.0.1:1 cannot"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_fault_is_found(examine, words, changes, told):
    """Each fault ends with 1 and is told with what mends it."""
    status, found = examine(*words, **{f"STEMLINE_{name}": value for name, value in changes.items()})
    assert 1 == status
    assert told in faults(found)
    assert all(f["mend"] for f in found if f["verdict"] in {"bad", "warning"})


def test_wrong_keys_of_a_bucket_are_found(service, examine):
    """Keys that the store refuses are told as such, without the keys."""
    access = json.loads(service.env["STEMLINE_BUCKETS"])
    access["*"]["secret_key"] = "not-the-key-of-anybody"
    status, found = examine("buckets", STEMLINE_BUCKETS=json.dumps(access))
    assert 1 == status
    assert re.search(rf"{BUCKET} cannot be \w+", faults(found))
    assert "not-the-key" not in json.dumps(found)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("maxmemory-policy", "allkeys-lru", "evicts keys (allkeys-lru)"),
        ("appendonly", "no", "no append-only file"),
    ],
)
def test_a_store_that_may_lose_jobs_is_found(valkey, valkey_server, examine, option, value, told):
    """A store that evicts, or keeps no append-only file, is bad."""
    before = valkey.config_get(option)[option]
    valkey.config_set(option, value)
    try:
        status, found = examine("store", STEMLINE_REDIS_URL=valkey_server.url)
    finally:
        valkey.config_set(option, before)
    assert 1 == status
    assert told in faults(found)


def test_queues_that_nobody_serves_are_found(valkey, valkey_server, examine):
    """Without workers, each queue is named with the command that serves it."""
    status, found = examine("broker", STEMLINE_REDIS_URL=valkey_server.url)
    assert 1 == status
    told = faults(found)
    for level in (0, 1, 2):
        assert f"nobody serves separate.{level} -> start `stemline worker separate --levels {level}`" in told
    assert "nobody serves callbacks -> start `stemline worker callbacks`" in told


def test_people_get_a_table(service, monkeypatch: pytest.MonkeyPatch):
    """Without --json the same is told in a table."""
    for name, value in service.env.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(main, ["doctor", "scratch", "callbacks"])
    assert 0 == ran.exit_code
    assert "What to mend" in ran.output
    assert "127.0.0.0/8 may be called" in ran.output
