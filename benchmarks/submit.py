"""How many signed submissions one API process takes, and how fast it answers at 100 per second.

Starts a Valkey with AOF and one API process of its own, then drives them from this process over real
sockets: first as fast as 32 connections can (closed loop), then at a steady rate (open loop: a late answer
delays no request, so that waiting counts). Every request is a whole ``POST /jobs``: its signature verified,
its job stored, and its wake-up sent through Celery.

    python -m benchmarks.submit [--seconds 10] [--rate 100] [--durability process disk replica] [--own-core]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from benchmarks.report import Report
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.wire.signature import sign
from stemline.wire.signed_request import SignedRequest

CONNECTIONS = 32
BUCKET = "media-1250000000"
HOST = f"{BUCKET}.ci.ap-chongqing.myqcloud.com"
SECRET_ID, SECRET_KEY = "AKIDbenchmark", "key-of-a-client"
BODY = (
    "<Request><Tag>VoiceSeparate</Tag><Input><Object>in/song.mp3</Object></Input><Operation><VoiceSeparate>"
    "<AudioMode>AudioAndBackground</AudioMode><AudioConfig><Codec>mp3</Codec><Samplerate>44100</Samplerate>"
    "<Bitrate>192</Bitrate></AudioConfig></VoiceSeparate><Output><Region>ap-chongqing</Region>"
    f"<Bucket>{BUCKET}</Bucket><Object>out/${{jobid}}/bg.${{ext}}</Object>"
    "<AuObject>out/${jobid}/voice.${ext}</AuObject></Output><UserData>order 17</UserData></Operation>"
    "</Request>"
).encode()


def request() -> bytes:
    """One signed submission; the signature holds for an hour, so it can be sent again and again."""
    length = str(len(BODY)).encode()
    headers = [("host", HOST.encode()), ("content-type", b"application/xml"), ("content-length", length)]
    unsigned = SignedRequest.of("POST", "/jobs", headers)
    now = int(time.time())
    names = [name for name, _ in headers]
    authorization = sign(
        unsigned, secret_id=SECRET_ID, secret_key=SECRET_KEY, start=now - 60, end=now + 3600, headers=names
    )
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    return (
        b"POST /jobs HTTP/1.1\r\n" + head + b"Authorization: " + authorization.encode() + b"\r\n\r\n" + BODY
    )


class Connection:
    """One keep-alive connection that checks each answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """A new connection to the API."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def submit(self, data: bytes) -> float:
        """Seconds until the whole answer was read."""
        began = time.perf_counter()
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await self.reader.readexactly(int(lengths[0].partition(b":")[2]))
        return time.perf_counter() - began


async def flood(port: int, data: bytes, seconds: float) -> list[float]:
    """As fast as the connections can."""
    connections = [await Connection.open(port) for _ in range(CONNECTIONS)]
    end = time.perf_counter() + seconds
    times: list[float] = []

    async def work(connection: Connection) -> None:
        while time.perf_counter() < end:
            times.append(await connection.submit(data))

    await asyncio.gather(*(work(connection) for connection in connections))
    return times


async def steady(port: int, data: bytes, seconds: float, rate: float) -> list[float]:
    """At a fixed rate; times count from the moment a request was due."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await Connection.open(port))
    times: list[float] = []

    async def one(due: float) -> None:
        connection = await free.get()
        await connection.submit(data)
        times.append(time.perf_counter() - due)
        free.put_nowait(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * rate)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return times


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors so far; 0 where /proc does not tell."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return 0.0
    fields = status.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_ms(times: list[float]) -> list[float]:
    """Seconds as milliseconds."""
    return [each * 1000 for each in times]


def start_api(port: int, redis_url: str, log: Path, durability: str) -> subprocess.Popen[bytes]:
    """One API process as it is run, without the rate limit."""
    settings = {
        "STEMLINE_REDIS_URL": redis_url,
        "STEMLINE_CREDENTIALS": json.dumps([{"secret_id": SECRET_ID, "secret_key": SECRET_KEY}]),
        "STEMLINE_DURABILITY": durability,
        "STEMLINE_RATE_LIMIT_PER_S": "0",
        "STEMLINE_QUEUE_MAX_SIZE": "10000000",
    }
    command = [sys.executable, "-m", "stemline", "api", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=output, stderr=output)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
        except OSError:
            time.sleep(0.1)
        else:
            return process
    process.kill()
    raise SystemExit("The API did not start.")


@contextmanager
def servers(folder: Path, durability: str) -> Iterator[ValkeyServer]:
    """A Valkey that can confirm: with `disk` it syncs before each answer, with `replica` it has one."""
    primary_folder, replica_folder = folder / "primary", folder / "replica"
    primary_folder.mkdir()
    replica_folder.mkdir()
    valkey = ValkeyServer(primary_folder, appendfsync="always" if durability == "disk" else "everysec")
    valkey.start()
    options = {"replicaof": f"127.0.0.1 {valkey.port}"}
    replica = ValkeyServer(replica_folder, options=options) if durability == "replica" else None
    try:
        if replica is not None:
            replica.start()
            with redis.Redis.from_url(replica.url, decode_responses=True) as client:
                while client.info("replication").get("master_link_status") != "up":
                    time.sleep(0.1)
        yield valkey
    finally:
        if replica is not None:
            replica.stop()
        valkey.stop()


@contextmanager
def own_core(*, asked: bool) -> Iterator[None]:
    """Leave this process a core of its own: what it starts meanwhile runs on the others."""
    cores = sorted(os.sched_getaffinity(0))
    if asked and len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    yield
    if asked and len(cores) > 1:
        os.sched_setaffinity(0, cores[:1])


def measure(report: Report, durability: str, seconds: float, rate: float, *, has_core: bool = False) -> None:
    """Measure one API process, and add its figures."""
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with own_core(asked=has_core):
            valkey = stack.enter_context(servers(Path(folder), durability))
            port = free_port()
            api = start_api(port, valkey.url, Path(folder) / "api.log", durability)
        try:
            data = request()
            asyncio.run(flood(port, data, 1.0))  # warm up
            before = processor_seconds(api.pid)
            times = asyncio.run(flood(port, data, seconds))
            each = (processor_seconds(api.pid) - before) / len(times) * 1000
            closed = f"{durability}: closed loop, {CONNECTIONS} connections"
            report.add(f"{durability}.jobs_per_s", [len(times) / seconds], unit="jobs/s", label=closed)
            report.add(f"{durability}.cpu_ms", [each], unit="ms", label=f"{durability}: processor, a job")
            report.add(
                f"{durability}.closed_ms", in_ms(times), unit="ms", label=f"{durability}: answer, closed loop"
            )
            times = asyncio.run(steady(port, data, seconds, rate))
            label = f"{durability}: answer, open loop at {rate:g}/s"
            report.add(f"{durability}.open_ms", in_ms(times), unit="ms", label=label)
            created = redis.Redis.from_url(valkey.url).hget("stemline:counts", "created")
            report.notes.append(f"Jobs stored with {durability}: {int(created or 0):,}.")
        finally:
            api.terminate()
            api.wait()
            os.sched_setaffinity(0, cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0)
    kinds = ["process", "disk", "replica"]
    parser.add_argument("--durability", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--name", default="submit", help="of the files in benchmarks/results")
    parser.add_argument("--own-core", action="store_true", help="of this process, the servers on the others")
    options = parser.parse_args()
    report = Report(options.name, "Signed submissions to one API process", ["benchmarks/submit.py"])
    for durability in options.durability:
        measure(report, durability, options.seconds, options.rate, has_core=options.own_core)
    report.write()


if __name__ == "__main__":
    main()
