"""Build every image, run them read-only, and do one job with them.

    python -m tests.images [--gpu]

With `--gpu`, the image for GPUs as well: without a card it must refuse to start, and say why.
"""

from __future__ import annotations

import io
import json
import math
import sys
import tempfile
import time
import wave
from functools import partial
from pathlib import Path

import numpy as np

from stemline.client import Client, Target
from stemline.deploy.demo.receiver import receiver
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import REGION, SeaweedServer, ValkeyServer
from stemline.separation.native.library import SETS
from stemline.testing.processes import environment, eventually
from tests.images import building
from tests.images.running import Service, output_of
from tests.paths import REPOSITORY

TARGETS = ("api", "worker", "callbacks", "flower")
GPU = "worker-gpu"
#: What the GPU worker says on a machine without a card.
NO_DRIVER = "CUDA cannot be used: the NVIDIA driver is not installed here"
BUCKET = "media-1250000000"
#: Largest size without the base, MB.
LIMITS_MB = {"worker": 400.0, GPU: 3100.0}
_DEFAULT_LIMIT_MB = 160.0
#: Prints the instruction set of the kernels that a worker uses here.
_KERNELS = """
from stemline.separation.native.library import find
found = find()
print(found.instructions or f"no kernels: {found.reason}")
"""


def song() -> bytes:
    """Return ten seconds of two tones as a WAV file."""
    moments = np.arange(10 * 44_100) / 44_100
    samples = 0.3 * np.sin(2 * math.pi * 220 * moments) + 0.2 * np.sin(2 * math.pi * 1760 * moments)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 44_100, 0, "NONE", ""))
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def do_one_job(api: str, key: dict[str, str], s3: SeaweedServer) -> float:
    """Submit a job, wait for its callback, check the stems, and return how long it took, s."""
    target = Target(api, key["secret_id"], key["secret_key"], BUCKET, REGION)
    client, bucket = Client(target), s3.client()
    bucket.put_object(Bucket=BUCKET, Key="song.wav", Body=song())
    outputs = {"voice": "voice.mp3", "background": "background.mp3"}
    began = time.monotonic()
    with receiver() as inbox:
        job = client.submit("song.wav", output=outputs, codec="mp3", callback=inbox.url).id
        if not inbox.received.wait(180):
            raise SystemExit(f"no callback: {client.get(job).message}")
        assert job.encode() in inbox.body
    took = time.monotonic() - began
    ended = client.get(job)
    assert ended.succeeded, ended.message
    for name in outputs.values():
        assert bucket.head_object(Bucket=BUCKET, Key=name)["ContentLength"] > 1000
    return took


def kernels_in(image: building.Image, folder: Path) -> str:
    """Return the instruction set of the compiled kernels that programs of the image load.

    Raises:
        SystemExit: There are none, or the compiler is still there.
    """
    if compilers := [name for name in ("cc", "gcc", "clang") if (image.root / "usr" / "bin" / name).exists()]:
        raise SystemExit(f"an image holds {', '.join(compilers)}")
    loaded = output_of(image, folder, {}, ["python", "-c", _KERNELS]).strip()
    if loaded not in SETS:
        raise SystemExit(loaded)
    return loaded


def main(*, with_gpu: bool) -> None:
    """Build, run and print a table; end with an error at the first thing that is wrong."""
    began = time.monotonic()
    building.ensure_base(REPOSITORY / "build" / "images")
    base_mb = building.size_mb(building.BASE)
    built = {}
    for target in (*TARGETS, GPU) if with_gpu else TARGETS:
        started = time.monotonic()
        built[target] = building.build(target)
        print(f"built {target} in {time.monotonic() - started:.0f} s", flush=True)
    key = {"secret_id": "AKID" + "1" * 32, "secret_key": "2" * 32}
    containers: list[str] = []
    services: dict[str, Service] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "valkey").mkdir()
        (folder / "s3").mkdir()
        valkey, s3 = ValkeyServer(folder / "valkey"), SeaweedServer(folder / "s3")
        try:
            valkey.start()
            s3.start()
            s3.create_bucket(BUCKET)
            variables = environment(
                valkey.url,
                s3,
                credentials=json.dumps([key]),
                hosts={"*": {"bucket": BUCKET, "region": REGION}},
            ) | {"FLOWER_BASIC_AUTH": "user:password"}
            api, flower = free_port(), free_port()
            ports = {"api": api, "flower": flower}
            commands = {
                "api": ["api", "--port", str(api)],
                "flower": ["flower", "--port", str(flower)],
                "beat": ["beat"],
            }
            table = []
            for service in (*TARGETS, "beat"):
                image = built["callbacks" if service == "beat" else service]
                container, mounted = building.mount(image)
                containers.append(container)
                started = time.monotonic()
                services[service] = running = Service(
                    mounted, folder / service, variables, commands.get(service, ())
                )
                probe = ["stemline", "health", "beat"] if service == "beat" else mounted.probe
                probe = [*probe, "--port", str(ports[service])] if service in ports else probe
                eventually(partial(running.is_healthy, probe), 240, f"{service} is healthy: {running.log}")
                table.append((service, building.size_mb(image) - base_mb, time.monotonic() - started))
                assert {10001} == running.users(), running.users()
                kernels = kernels_in(mounted, folder / "kernels")
            if with_gpu:
                container, mounted = building.mount(built[GPU])
                containers.append(container)
                services[GPU] = refusing = Service(mounted, folder / GPU, variables)
                started = time.monotonic()
                eventually(lambda: refusing.ended, 180, "the GPU worker refuses to start")
                assert NO_DRIVER in refusing.tail(), refusing.tail()
                table.append((GPU, building.size_mb(built[GPU]) - base_mb, time.monotonic() - started))
            took = do_one_job(f"http://127.0.0.1:{api}", key, s3)
        except BaseException:
            for service, running in services.items():
                print(f"--- {service}\n{running.tail()}")
            raise
        finally:
            for running in services.values():
                running.stop()
            for container in containers:
                building.run("buildah", "rm", container)
            s3.stop()
            valkey.stop()
    print(f"{'image':<10} {'MB without base':>16} {'healthy after s':>16}   as user 10001, read-only root")
    for service, size, seconds in table:
        note = "   without a card: refuses to start, and says why" if service == GPU else ""
        print(f"{service:<10} {size:>16.0f} {seconds:>16.1f}{note}")
        limit = LIMITS_MB.get(service, _DEFAULT_LIMIT_MB)
        if size > limit:
            raise SystemExit(f"the image of {service} is larger than {limit:.0f} MB without its base")
    print(f"kernels: {kernels}")
    print(
        f"base {base_mb:.0f} MB; one job through the images: {took:.1f} s; "
        f"{time.monotonic() - began:.0f} s in all"
    )


if __name__ == "__main__":
    main(with_gpu="--gpu" in sys.argv)
