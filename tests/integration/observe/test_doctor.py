"""`stemline doctor`, on a running service and with each fault that it can detect."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.queue import QueueLimits
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import QueueFilter
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.client import BUCKET, REGION
from stemline.testing.processes import eventually
from tests.integration.observe.conftest import SECRETS
from tests.support.raised import classes_in


@pytest.fixture
def doctor(service, monkeypatch: pytest.MonkeyPatch):
    """Run `stemline doctor` with the service's settings, some of them changed."""

    def run(*words: str, **changes: str) -> tuple[int, list[dict[str, Any]]]:
        for name, value in {**service.env, **changes}.items():
            monkeypatch.setenv(name, value)
        ran = CliRunner().invoke(main, ["doctor", "--json", *words])
        found = list(map(json.loads, ran.stdout.splitlines()))
        assert not [what for what, secret in SECRETS.items() if secret in ran.output]
        return ran.exit_code, found

    return run


def messages(found: Iterable[dict[str, Any]], verdict: str = "error") -> str:
    """All findings with a verdict as one text."""
    return "\n".join(f"{f['check']}: {f['message']} -> {f['fix']}" for f in found if f["verdict"] == verdict)


def test_a_service_that_works_has_no_error(service, doctor):
    """On the running service there is no error, every check runs, and buckets are left as they were."""
    client = service.s3.client()
    before = {o["Key"] for o in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    status, found = doctor("--receiver", service.receiver.url)
    assert "" == messages(found)
    assert 0 == status
    servers = {"service", "flower", "store", "clock", "broker", "capacity", "buckets"}
    checks = servers | {"weights", "device", "kernels", "callbacks", "scratch", "telemetry", "security"}
    assert checks == {f["check"] for f in found}
    text = messages(found, "ok")
    for message in (
        "the append-only file is written",
        "keys are never evicted",
        "workers that consume separate.0: 1",
        "workers that consume callbacks: 1",
        f"{REGION}/{BUCKET} can be read, written to and deleted from",
        "onnxruntime on cpu",
        "can connect to 127.0.0.1",
        "callbacks are signed",
        "trace collector",
    ):
        assert message in text
    assert before == {o["Key"] for o in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    client.close()
    assert [] == uploads


def test_read_only_writes_nothing(doctor):
    """With --read-only buckets are read, not written to."""
    _, found = doctor("buckets", "--read-only")
    assert "nothing was written" in messages(found, "ok")


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        (["store"], {"REDIS_URL": "redis://127.0.0.1:1/0"}, "store: 127.0.0.1:1 does not answer"),
        (["broker"], {"BROKER_URL": "redis://127.0.0.1:1/0"}, "broker: 127.0.0.1:1 does not answer"),
        (["buckets", "--bucket", f"{REGION}/none-1250000000"], {}, "none-1250000000 cannot be written to"),
        (["buckets"], {"BUCKETS": "{}"}, "no bucket is configured"),
        (["weights"], {"MODELS_DIR": "/nonexistent"}, "run `stemline models pull 2stems`"),
        (["device"], {"DEVICE": "cuda"}, "device: "),
        (["callbacks", "--receiver", "http://192.168.0.1/"], {}, "is a private address"),
        (["callbacks", "--receiver", "http://127.0.0.1:1/"], {}, "cannot connect to 127.0.0.1"),
        (["callbacks", "--receiver", "http://no.such.invalid/"], {}, "has no address"),
        (
            ["callbacks"],
            {"CALLBACK_PROXY": "http://me:secret-pw@127.0.0.1:1"},
            "cannot connect to the proxy at 127.0.0.1:1",
        ),
        (["scratch"], {"SCRATCH_DIR": "/nonexistent"}, "set STEMLINE_SCRATCH_DIR"),
        (
            ["telemetry"],
            {"OTLP_ENDPOINT": "http://127.0.0.1:1"},
            "cannot connect to the trace collector at 127.0.0.1:1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_fault_is_found(doctor, words, changes, message):
    """Each fault leads to exit status 1 and is reported with a fix."""
    status, found = doctor(*words, **{f"STEMLINE_{name}": value for name, value in changes.items()})
    assert 1 == status
    assert message in messages(found)
    assert all(f["fix"] for f in found if f["verdict"] in {"error", "warning"})


def test_wrong_keys_of_a_bucket_are_found(service, doctor):
    """Keys that the bucket refuses are reported without the keys."""
    access = json.loads(service.env["STEMLINE_BUCKETS"])
    access["*"]["secret_key"] = "not-the-key-of-anybody"
    status, found = doctor("buckets", STEMLINE_BUCKETS=json.dumps(access))
    assert 1 == status
    assert re.search(rf"{BUCKET} cannot be \w+", messages(found))
    assert "not-the-key" not in json.dumps(found)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("maxmemory-policy", "allkeys-lru", "keys may be evicted, and jobs with them (allkeys-lru)"),
        ("appendonly", "no", "no append-only file"),
    ],
)
def test_a_store_that_may_lose_jobs_is_found(valkey, valkey_server, doctor, option, value, message):
    """A store that evicts keys, or keeps no append-only file, is an error."""
    before = valkey.config_get(option)[option]
    valkey.config_set(option, value)
    try:
        status, found = doctor("store", STEMLINE_REDIS_URL=valkey_server.url)
    finally:
        valkey.config_set(option, before)
    assert 1 == status
    assert message in messages(found)


def test_queues_without_a_worker_are_found(valkey, valkey_server, doctor):
    """Without workers, each queue is reported with the command that starts a worker for it."""
    status, found = doctor("broker", STEMLINE_REDIS_URL=valkey_server.url)
    assert 1 == status
    text = messages(found)
    for level in (0, 1, 2):
        assert (
            f"no worker consumes separate.{level} -> start `stemline worker separate --levels {level}`"
            in text
        )
    assert "no worker consumes callbacks -> start `stemline worker callbacks`" in text


def test_without_json_it_prints_a_line_for_each_finding(service, monkeypatch: pytest.MonkeyPatch):
    """Without --json, and without a terminal, each finding is one line, however long it is."""
    for name, value in service.env.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(main, ["doctor", "scratch", "callbacks"])
    assert 0 == ran.exit_code
    assert (
        "callbacks\twarning\tcallbacks to 127.0.0.0/8 are allowed\tallow it on one machine only" in ran.output
    )


def capacity() -> list[dict[str, Any]]:
    """What `stemline doctor capacity` finds; on a busy machine the store may not answer in time at once."""

    def found() -> list[dict[str, Any]]:
        ran = CliRunner().invoke(main, ["doctor", "capacity", "--json"])
        findings = list(map(json.loads, ran.stdout.splitlines()))
        late = "did not answer in time" in messages(findings) or "did not end within" in messages(findings)
        assert late or 0 == ran.exit_code, ran.output
        return [] if late else findings

    answered: list[dict[str, Any]] = eventually(found, what="the answers of the store")
    return answered


def test_it_says_what_holds_work_back(valkey_server, valkey, monkeypatch: pytest.MonkeyPatch):
    """Paused, full and limited queues, and a model that no worker has, are named with what helps."""
    monkeypatch.setenv("STEMLINE_REDIS_URL", valkey_server.url)
    store = open_store(Settings())
    tenants = [Tenant(f"{name}-1250000000", REGION) for name in ("paused", "limited", "quiet")]
    for tenant, limits in zip(tenants, [(9, 9), (9, 1), (9, 9)], strict=True):
        store.tenants.open(tenant, new_queue=QueueLimits(*limits))
    paused, limited = (store.queues.search(tenant, QueueFilter()).items[0].id for tenant in tenants[:2])
    store.queues.update(tenants[0], paused, state=QueueState.PAUSED)
    for tenant in tenants[:2]:
        store.jobs.create([JobSpec(tenant, "a", VoiceSeparate(AudioMode.IS_AUDIO), Output("r", "b"))] * 9)
    assert store.attempts.claim("test", (0, 1, 2)) is not None
    separate = VoiceSeparate(AudioMode.IS_AUDIO, model="htdemucs")
    store.jobs.create([JobSpec(tenants[2], "a", separate, Output("r", "b"))])
    assert "for a time or another job" not in messages(capacity(), "ok")
    later = JobSpec(tenants[2], "a", VoiceSeparate(AudioMode.IS_AUDIO), Output("r", "b"), not_before=1 << 52)
    store.jobs.create([later])
    store.close()
    found = capacity()
    assert "1 more job waiting for a time or another job: NotBefore" in messages(found, "ok")
    text = messages(found, "warning")
    assert "1 job waiting for htdemucs, which no worker that runs serves" in text
    assert f"9 waiting, 0 running; it is paused -> run `stemline resume {paused}`" in text
    assert "8 waiting, 1 running; it runs at most 1 at once" in text
    assert f"`stemline resume {limited} --concurrent N`" in text
    assert f"queue {paused} holds 9 of at most 9 waiting jobs" in text


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Host and port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_servers_that_never_answer_hold_no_report_back(
    black_hole: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Valkey, broker, S3, API, Flower and a receiver that hang are each an error with a fix."""
    monkeypatch.setattr("stemline.cli.checks.timed.SERVER_S", 6.0)
    access = {"endpoint_url": f"http://{black_hole}", "access_key": "a", "secret_key": "b"}
    variables = {
        "REDIS_URL": f"redis://{black_hole}/0",
        "BUCKETS": json.dumps({"*": access}),
        "API": f"http://{black_hole}",
        "SECRET_ID": "i",
        "SECRET_KEY": "k",
        "BUCKET": BUCKET,
        "REGION": REGION,
        "HOME": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"STEMLINE_{name}", value)
    stack = {"redis_url": "", "flower": {"url": f"http://{black_hole}"}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    checks = ["service", "store", "broker", "capacity", "buckets", "flower"]
    ran = CliRunner().invoke(main, ["doctor", "--json", *checks, "--bucket", f"{REGION}/{BUCKET}"])
    found = list(map(json.loads, ran.stdout.splitlines()))
    assert 1 == ran.exit_code
    assert [(check, "error") for check in checks] == [(each["check"], each["verdict"]) for each in found]
    assert all(each["fix"] for each in found)
    assert not classes_in(ran.output)
