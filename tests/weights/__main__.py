"""The weights of the 4-stem model, from a server to the stems of a job: ``python -m tests.weights``.

The real 4-stem weights are not at hand here, so the archive holds seeded ones, and the catalogue names their
checksums. All that fetches, checks, loads and separates is the product's own. `models pull` is killed in the
middle and goes on where it was; then a worker without the weights gets a MusicMode job, does another job
while it fetches, is killed, and its successor goes on with the download.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
import time
import wave
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from stemline.client import Client, Target
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import REGION, SeaweedServer, ValkeyServer
from stemline.models.catalogue import MODELS
from stemline.models.weights import WeightStore
from stemline.testing.processes import Program, environment, eventually, program
from tests.golden import seeded
from tests.images.__main__ import BUCKET, song
from tests.weights.bundle import write_bundle
from tests.weights.seeded_stemline import NAME
from tests.weights.server import Archive, serving

MODEL = MODELS[NAME]
KEY = {"secret_id": "AKID" + "1" * 32, "secret_key": "2" * 32}


def make_archive(folder: Path) -> Path:
    """Write seeded weights as a checkpoint, and the archive of it."""
    write_bundle(folder, seeded.tensors(len(MODEL.instruments)))
    path = folder / MODEL.archive.name
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in MODEL.files:
            archive.add(folder / file.name, f"./{file.name}")
    return path


def part_bytes(models: Path) -> int:
    """Return how much of the archive a folder of models has."""
    return sum(part.stat().st_size for part in models.rglob("*.part"))


def pull_in_two_runs(words: list[str], server: Archive, folder: Path) -> None:
    """Kill `models pull` in the middle of its download; a second run fetches the rest alone."""
    models, size = folder / "pulled", len(server.content)
    command = [*words, "models", "pull", NAME, "--directory", str(models)]
    variables = {"STEMLINE_MODELS_MIRROR": server.url}
    server.breaks = 1  # the first run also sees a broken connection
    server.slow.set()
    with program(folder / "pull.log", variables, *command) as first:
        eventually(lambda: part_bytes(models) > size // 2, 240, "half of the archive is there")
        first.kill()
    have = part_bytes(models)
    server.slow.clear()
    with program(folder / "pull.log", variables, *command) as second:
        assert second.process.wait(240) == 0, second.text()
    first_offsets = server.offsets[:2]
    assert first_offsets[0] == 0 < first_offsets[1] <= size // 4, server.offsets
    assert server.offsets[2:] == [have], (server.offsets, have)
    assert part_bytes(models) == 0
    with program(
        folder / "verify.log", {}, *words, "models", "verify", NAME, "--directory", str(models)
    ) as done:
        assert done.process.wait(120) == 0, done.text()
    print(f"pull: broken once, killed at {have / 1e6:.0f} of {size / 1e6:.0f} MB, gone on there, verified")


def mixed(stems: list[bytes]) -> np.ndarray:
    """Return the sum of WAV files."""
    total = np.zeros(0)
    for stem in stems:
        with wave.open(io.BytesIO(stem)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        total = samples if not total.size else total + samples
    return total


def first_music_job(words: list[str], server: Archive, folder: Path) -> None:
    """Let a worker without the weights fetch them for its first MusicMode job; kill it in between."""
    models, port = folder / "models", free_port()
    WeightStore(models).install(MODELS["2stems"], WeightStore().verified(MODELS["2stems"]))
    valkey, s3 = ValkeyServer(folder / "valkey"), SeaweedServer(folder / "s3")
    with ExitStack() as stack:
        for each in (valkey, s3):
            each.start()
            stack.callback(each.stop)
        s3.create_bucket(BUCKET)
        bucket = s3.client()
        bucket.put_object(Bucket=BUCKET, Key="song.wav", Body=song())
        variables = environment(
            valkey.url,
            s3,
            credentials=json.dumps([KEY]),
            hosts={"*": {"bucket": BUCKET, "region": REGION}},
            home=str(folder / "home"),
            models_dir=str(models),
            models_mirror=server.url,
            models_fetch=True,
            scratch_dir=str(folder / "scratch"),
        )

        def start(name: str, *command: str) -> Program:
            return stack.enter_context(program(folder / f"{name}.log", variables, *words, *command))

        start("api", "api", "--port", str(port))
        start("callbacks", "worker", "callbacks")
        start("beat", "beat")
        worker = start("worker", "worker", "separate")
        client = Client(
            Target(f"http://127.0.0.1:{port}", KEY["secret_id"], KEY["secret_key"], BUCKET, REGION)
        )
        eventually(lambda: "ready." in worker.text(), 240, f"the worker is ready: {worker.log}")
        server.offsets.clear()
        server.slow.set()
        music = client.submit("song.wav", mode="MusicMode", output="music/{stem}.wav").id
        eventually(lambda: part_bytes(models), 240, f"the download has begun: {worker.log}")
        shown = eventually(lambda: client.get(music).message, 120, "the job says what it waits for")
        assert "waits for the weights of 4stems" in shown, shown
        other = client.submit("song.wav", output="two/{stem}.wav").id
        assert client.wait(other, timeout_s=240).succeeded
        assert not client.get(music).ended
        print(f"worker: another job ends while it fetches; the job shows: {shown}")
        eventually(lambda: part_bytes(models) > len(server.content) // 2, 240, "half of the archive is there")
        worker.kill()
        have = part_bytes(models)
        server.slow.clear()
        began = time.monotonic()
        start("successor", "worker", "separate")
        job = client.wait(music, timeout_s=300)
        assert job.succeeded, job.message
        assert server.offsets == [0, have], (server.offsets, have)
        stems = [
            bucket.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in bucket.list_objects_v2(Bucket=BUCKET, Prefix="music/")["Contents"]
        ]
        assert len(stems) == len(MODEL.instruments), len(stems)
        with wave.open(io.BytesIO(song())) as file:
            mix = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        error = np.abs(mixed(stems) - np.repeat(mix, 2)).max()
        assert error <= 4, error  # each stem is rounded
        took = time.monotonic() - began
        print(f"successor: goes on at {have / 1e6:.0f} MB, {len(stems)} stems that add up, {took:.0f} s")


def main() -> None:
    """Run both parts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("archive", "valkey", "s3", "scratch"):
            (folder / each).mkdir()
        words = ["-m", "tests.weights.seeded_stemline", str(folder / "archive")]
        with serving(make_archive(folder / "archive")) as server:
            try:
                pull_in_two_runs(words, server, folder)
                server.offsets.clear()
                first_music_job(words, server, folder)
            except BaseException:
                for log in sorted(folder.glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
                raise


if __name__ == "__main__":
    os.environ.pop("STEMLINE_MODELS_MIRROR", None)
    main()
