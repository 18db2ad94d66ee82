"""Heavy networks in a control group with little memory: jobs wait, and the system kills no process.

A real worker with two processes, in a group of version 1 or 2 that this test makes. It needs root and a
writable mount of the memory controller; where there is none it is skipped.
"""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import redis

from stemline.models import installation
from stemline.models.weights import WeightStore
from stemline.runtime.store import open_store
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import BUCKET, submission
from stemline.testing.processes import environment, eventually, program
from tests.support.networks import WAVEFORM, allocating, card

PHYSICAL = "memory-1250000000"
#: Samples of a segment, what the network takes for one, and what its card says, MB.
SAMPLES, TAKES_MB, CARD_MB = 44_100, 560, 620
#: Of the group: less than two such networks take, with the processes around them.
LIMIT_MB = 1_250


class Group:
    """A control group of version 1 or 2 with a limit of its memory."""

    def __init__(self) -> None:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        places = [(Path(at), kind) for _, at, kind, options, *_ in mounts if _holds_memory(at, kind, options)]
        if not places:
            pytest.skip("no memory controller is mounted")
        at, kind = places[0]
        self._folder = at / f"stemline-test-{os.getpid()}"
        self._limit = "memory.max" if kind == "cgroup2" else "memory.limit_in_bytes"
        self._events = "memory.events" if kind == "cgroup2" else "memory.oom_control"
        try:
            self._folder.mkdir()
            (self._folder / self._limit).write_text(str(LIMIT_MB * 1_000_000))
        except OSError as error:
            with suppress(OSError):
                self._folder.rmdir()
            pytest.skip(f"no control group can be made: {error}")

    @property
    def members(self) -> Path:
        return self._folder / "cgroup.procs"

    def kills(self) -> int:
        """Return how many processes the system has killed for their memory."""
        lines = (self._folder / self._events).read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def close(self) -> None:
        eventually(lambda: not self.members.read_text(), what="the end of the group's processes")
        self._folder.rmdir()


def _holds_memory(at: str, kind: str, options: str) -> bool:
    if kind == "cgroup":
        return "memory" in options.split(",")
    controllers = Path(at) / "cgroup.controllers"
    return kind == "cgroup2" and controllers.exists() and "memory" in controllers.read_text().split()


@pytest.fixture
def group() -> Iterator[Group]:
    made = Group()
    yield made
    made.close()


@pytest.mark.thorough
def test_heavy_jobs_wait_for_each_other(valkey_server, s3_server, group: Group, tmp_path: Path) -> None:
    """Two processes have room for one network: every job is done, one after the other, and none is killed."""
    redis.Redis.from_url(valkey_server.url).flushall()
    network = allocating(tmp_path / "heavy.onnx", (2, SAMPLES), (0.1, 0.2, 0.3, 0.4), TAKES_MB)
    text = card(
        tmp_path / "heavy.toml",
        WAVEFORM,
        name="heavy",
        samples=SAMPLES,
        options=f"memory_mb = {CARD_MB}",
    )
    installation.add(WeightStore(tmp_path / "models"), text, network)
    s3_server.create_bucket(PHYSICAL)
    s3 = s3_server.client()
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.random.default_rng(0).integers(-3000, 3000, (120_000, 2), "<i2").tobytes())
    s3.put_object(Bucket=PHYSICAL, Key="in", Body=content.getvalue())
    changes = {"models_dir": str(tmp_path / "models"), "request_models": ["heavy"], "preload_models": []}
    access = {"endpoint_url": s3_server.endpoint_url, "access_key": s3_server.access_key}
    access |= {"secret_key": s3_server.secret_key, "keeps_files": True, "name": PHYSICAL}
    settings = api_settings(redis_url=valkey_server.url, buckets={BUCKET: access}, **changes)
    env = environment(
        valkey_server.url,
        s3_server,
        **changes,
        buckets={BUCKET: access},
        worker_concurrency=2,
        scratch_dir=str(tmp_path / "scratch"),
    )
    (tmp_path / "scratch").mkdir()
    join = f"import os, sys; open({str(group.members)!r}, 'w').write(str(os.getpid()))\n"
    join += "os.execv(sys.executable, [sys.executable, '-m', 'stemline', 'worker', 'separate'])"
    with (
        ApiServer(settings, open_store(settings)) as api,
        program(tmp_path / "worker.log", env, "-c", join) as worker,
        # Sweeps wake workers for jobs that were submitted before any served the model.
        program(tmp_path / "callbacks.log", env, "-m", "stemline", "worker", "callbacks"),
        program(tmp_path / "beat.log", env, "-m", "stemline", "beat"),
    ):
        asked = []
        for number in range(4):
            output = f"<AuObject>out/{number}.wav</AuObject>"
            config = "<AudioConfig><Codec>wav</Codec></AudioConfig><Model>heavy</Model>"
            answer = api.client.post(
                "/jobs", submission(mode="IsAudio", config=config, output=output, source="in")
            )
            assert answer.status == 200, answer.body
            asked.append(answer.text("JobsDetail/JobId") or "")

        def ended() -> bool:
            return all(found is not None and found.ended for found in map(api.store.jobs.find, asked))

        eventually(lambda: group.kills() or ended(), 240, "the end of the jobs")
        states = [api.client.get(f"/jobs/{job}").text("JobsDetail/State") for job in asked]
        assert (0, ["Success"] * 4) == (group.kills(), states)
        assert "attempt.waits_for_memory" in worker.text()
