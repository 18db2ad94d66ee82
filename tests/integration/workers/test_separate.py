"""A real separation worker: Celery, the real network, a real bucket; from claim to end."""

from __future__ import annotations

import io
import os
import signal
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from stemline.jobs.job import Job, JobSpec, Output
from stemline.jobs.probe import Probe, Question
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import worker_of
from stemline.models import installation
from stemline.models.catalogue import model_named
from stemline.models.download import pull
from stemline.models.weights import WeightStore
from stemline.runtime.store import open_store
from stemline.testing.processes import Program, environment, eventually, program, settings
from stemline.testing.resp_proxy import RespProxy
from stemline.workers.app import create_app, separate_queue
from tests.support.measured import MEASURED
from tests.support.networks import WAVEFORM, card, scaling
from tests.support.processes import alive, children

pytestmark = pytest.mark.slow

RATE = 44_100


@pytest.fixture(scope="session", autouse=True)
def weights() -> None:
    """The real 2-stem weights, fetched once."""
    pull(WeightStore(), model_named("2stems"))


@pytest.fixture(scope="module")
def env(valkey_server, s3_server, tmp_path_factory) -> dict[str, str]:
    redis.Redis.from_url(valkey_server.url).flushall()
    scratch = tmp_path_factory.mktemp("scratch")
    return environment(
        valkey_server.url, s3_server, lease_s=6, heartbeat_s=0.5, scratch_dir=str(scratch), worker_grace_s=0
    )


@pytest.fixture(scope="module")
def sweeper(env, tmp_path_factory) -> Iterator[None]:
    """A callback worker and beat, which together sweep."""
    folder = tmp_path_factory.mktemp("sweeper")
    with (
        program(folder / "callbacks.log", env | MEASURED, "-m", "stemline", "worker", "callbacks"),
        program(folder / "beat.log", env | MEASURED, "-m", "stemline", "beat"),
    ):
        yield


@pytest.fixture(scope="module")
def worker(env, sweeper, tmp_path_factory) -> Iterator[Program]:
    """One separation worker."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with program(log, env | MEASURED, "-m", "stemline", "worker", "separate") as started:
        yield started


@pytest.fixture
def store(valkey_server, s3_server) -> Iterator[Store]:
    now = settings(valkey_server.url, s3_server)
    app = create_app(now)

    def notify(wake_ups) -> None:
        # As an older version sends them, with a job id before the level.
        for wake_up in wake_ups:
            app.send_task(
                "stemline.separate", args=["j" + "0" * 32, wake_up.level], queue=separate_queue(wake_up.level)
            )

    kept = open_store(now, notify=notify)
    yield kept
    kept.close()
    app.close()


def sound(seconds: float, channels: int = 2) -> bytes:
    """Return a wav of a chord with some noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).normal(0, 0.05, t.size)
    samples = np.repeat((0.3 * np.sin(2 * np.pi * 220 * t) + noise)[:, None], channels, axis=1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def submit(store: Store, s3, key: str, **changes) -> Job:
    tenant = Tenant(s3.bucket, "ap-chongqing")
    output = Output(
        tenant.region, tenant.bucket, object="out/bg.${ext}", au_object="out/${jobid}/voice.${ext}"
    )
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav"))
    (job,) = store.jobs.create([JobSpec(tenant, key, separate, changes.pop("output", output), **changes)])
    return job


def ended(store: Store, job: Job, timeout_s: float = 180) -> Job:
    def done() -> Job | None:
        now = store.jobs.find(job.id)
        return now if now and now.ended else None

    return eventually(done, timeout_s, f"the end of {job.id}")


def keys(s3) -> set[str]:
    return {o["Key"] for o in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])}


def test_success(worker: Program, store: Store, s3) -> None:
    """Stems of the source's length arrive under the final keys, with their MD5 and MediaInfo on record."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(3))
    job = ended(store, submit(store, s3, "in/a.wav"))
    assert (State.SUCCESS, 100, 1) == (job.state, job.progress, job.attempt)
    assert {"in/a.wav", "out/bg.wav", f"out/{job.id}/voice.wav"} == keys(s3)
    assert job.result is not None
    assert [f"out/{job.id}/voice.wav", "out/bg.wav"] == [f.key for f in job.result.files]
    body = s3.client.get_object(Bucket=s3.bucket, Key="out/bg.wav")["Body"].read()
    with wave.open(io.BytesIO(body)) as stem:
        assert (3 * RATE, 2) == (stem.getnframes(), stem.getnchannels())
    assert len(body) == job.result.files[1].size
    assert "44100" == job.result.media_info["Stream"]["Audio"][1]["SampleRate"]


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        ("in/none.mp3", None, "ResourceNotFound"),
        ("in/text.mp3", b"this is not music\n" * 100, "InvalidContent"),
        ("in/empty.wav", sound(0), "InvalidContent"),
        ("in/cut.wav", sound(2)[:50_000], "InvalidContent"),
    ],
    ids=["missing", "text", "empty", "cut"],
)
def test_failures(worker: Program, store: Store, s3, key: str, body: bytes | None, code: str) -> None:
    """A source that cannot be separated fails the job with its code and a message, and leaves no object."""
    if body is not None:
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=body)
    job = ended(store, submit(store, s3, key))
    assert (State.FAILED, code) == (job.state, job.code)
    assert len(job.message) > 10
    source = set() if body is None else {key}
    assert source == keys(s3)


def test_a_missing_target_bucket_is_denied(worker: Program, store: Store, s3) -> None:
    """A destination bucket that does not exist fails the job with the wire's code."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(1))
    missing = Output("ap-chongqing", "missing-1250000000", au_object="v.wav")
    job = ended(store, submit(store, s3, "in/a.wav", output=missing))
    assert (State.FAILED, "WriteTargetBucketDenied") == (job.state, job.code)


def test_cancel_of_a_running_job(worker: Program, store: Store, s3) -> None:
    """A running job stops long before its end when it is cancelled, and leaves no object."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/long.wav", Body=sound(120))
    job = submit(store, s3, "in/long.wav")
    eventually(lambda: (found := store.jobs.find(job.id)) and found.progress > 5, 180, "progress")
    store.jobs.cancel(job.spec.tenant, [job.id])
    assert State.CANCEL == ended(store, job).state
    assert {"in/long.wav"} == keys(s3)


def test_a_worker_probes_sources_beside_its_jobs(worker: Program, store: Store, s3) -> None:
    """A question about a source is answered although the process that runs jobs does nothing."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(3))
    job = submit(store, s3, "in/a.wav")
    ended(store, job)
    pool = children(worker.process.pid)
    assert pool
    for pid in pool:
        os.kill(pid, signal.SIGSTOP)
    try:

        def answered() -> Probe | None:  # on a busy machine one look may not suffice
            store.probes.ask(Question("q" * 32, (job.spec,), store.now() + 120_000_000))
            return store.probes.answered("q" * 32)

        probe = eventually(answered, 180, "the answer")
    finally:
        for pid in pool:
            os.kill(pid, signal.SIGCONT)
    assert ("Success", 3.0, RATE, 2) == (probe.code, probe.duration_s, probe.samplerate, probe.channels)


def test_a_killed_worker_loses_nothing(worker: Program, env, store: Store, s3, tmp_path: Path) -> None:
    """After kill -9 of a worker its engine's process ends too, and another worker does its job again."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(50))
    victim = Program(tmp_path / "victim.log", env, "-m", "stemline", "worker", "separate")
    worker.signal(signal.SIGSTOP)  # so that the other one gets the job
    try:
        job = submit(store, s3, "in/a.wav")
        eventually(lambda: (found := store.jobs.find(job.id)) and found.progress > 5, 180, "progress")
        started = children(victim.process.pid)  # the engine's process, and the server that decodes
        assert started
        victim.process.kill()
        eventually(lambda: not any(map(alive, started)), 180, "the children's end")
    finally:
        worker.signal(signal.SIGCONT)
        victim.kill()
    eventually(lambda: (found := store.jobs.find(job.id)) and found.attempt == 2, 180, "the second claim")
    assert (State.SUCCESS, 2) == ((done := ended(store, job)).state, done.attempt)


def test_a_worker_that_shuts_down_releases_its_job(
    worker: Program, env, store: Store, s3, tmp_path: Path
) -> None:
    """After SIGTERM without grace the running job is released uncounted, and another worker does it."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(50))
    worker.signal(signal.SIGSTOP)
    try:
        leaving = Program(tmp_path / "leaving.log", env, "-m", "stemline", "worker", "separate")
        job = submit(store, s3, "in/a.wav")
        eventually(lambda: (found := store.jobs.find(job.id)) and found.progress > 5, 180, "progress")
        assert 0 == leaving.terminate()
    finally:
        worker.signal(signal.SIGCONT)
    done = ended(store, job)
    assert (State.SUCCESS, 1) == (done.state, done.attempt)
    assert "attempt.released" in leaving.text()


def test_an_attempt_outlives_errors_of_the_store(
    env, valkey_server, store: Store, s3, tmp_path: Path
) -> None:
    """Words of a server that fails over, in the middle of a separation, cost no attempt."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(60))
    with RespProxy(valkey_server.port) as proxy:
        behind = env | {"STEMLINE_REDIS_URL": proxy.url, "STEMLINE_LEASE_S": "60"}
        with program(tmp_path / "worker.log", behind, "-m", "stemline", "worker", "separate") as started:
            eventually(lambda: "model.loaded" in started.text(), 180, "the engine")
            job = submit(store, s3, "in/a.wav")
            eventually(lambda: (found := store.jobs.find(job.id)) and found.progress > 5, 180, "progress")
            for word in ("NOREPLICAS too few", "READONLY a replica", "UNBLOCKED demoted"):
                with proxy.refuse(word):
                    time.sleep(1)
            done = ended(store, job)
            assert (State.SUCCESS, 1) == (done.state, done.attempt), started.text()[-3000:]


def test_a_worker_gets_the_jobs_of_the_models_that_it_alone_has(
    worker: Program, env, store: Store, s3, tmp_path: Path
) -> None:
    """A job waits while no worker has its model; one that comes with that model does it, and no other job."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(1))
    network = scaling(tmp_path / "own.onnx", (2, 8_000), (0.1, 0.2, 0.3, 0.4))
    models = tmp_path / "models"
    installation.add(
        WeightStore(models), card(tmp_path / "own.toml", WAVEFORM, name="own", samples=8_000), network
    )
    separate = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav"), "own")
    tenant = Tenant(s3.bucket, "ap-chongqing")
    output = Output(tenant.region, tenant.bucket, object="out/own.wav", au_object="out/own-voice.wav")
    (job,) = store.jobs.create([JobSpec(tenant, "in/a.wav", separate, output)])
    waiting = store.jobs.find(job.id)
    assert waiting is not None
    assert "No worker that is running serves own." == waiting.message
    own_env = env | MEASURED | {"STEMLINE_MODELS_DIR": str(models), "STEMLINE_PRELOAD_MODELS": "[]"}
    command = ("-m", "stemline", "worker", "separate", "--name", "own@host")
    with program(tmp_path / "own.log", own_env, *command) as started:
        done = ended(store, job)
        common = ended(store, submit(store, s3, "in/a.wav"))
        assert 0 == started.terminate()
    assert (State.SUCCESS, 1, "own@host") == (done.state, done.claims, worker_of(done.worker)), started.text()
    assert (State.SUCCESS, 1) == (common.state, common.claims)
    assert "own@host" != worker_of(common.worker)
