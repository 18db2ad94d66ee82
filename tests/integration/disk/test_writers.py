"""Each writer on a real disk that is full: it says so, leaves nothing half-written, and goes on later."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.cli.summary import write_summary
from stemline.cli.whole_files import whole_file
from stemline.client.errors import TransferFailed
from stemline.client.objects import Bucket
from stemline.client.target import S3Access, Target, profile_names, save_profile
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.manifest import Manifest
from stemline.client.tracks.pace import has_no_room
from stemline.deploy.local.files import write_private
from stemline.models.archive import pack, unpack_tar
from stemline.models.catalogue import MODELS
from stemline.models.checksums import known_sha256
from stemline.models.graph_cache import cached_graph, write_graph
from stemline.models.transfer import transfer
from stemline.models.weights import WeightStore
from stemline.workers.device_faults import DeviceFaults
from stemline.workers.liveness import LivenessFile, age_s
from tests.conftest import S3
from tests.support.small_disk import SmallDisk
from tests.unit.models.test_weights import CONTENT, MODEL

BODY = bytes(range(256)) * 2048
"""Half of the disk."""


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*") if each.is_file()} - {"ballast"}


def test_a_stem_that_is_fetched(disk: SmallDisk, s3: S3) -> None:
    """The stem of an earlier run stays, nothing else does, and with room the same call fetches it."""
    s3.client.put_object(Bucket=s3.bucket, Key="stem", Body=BODY)
    access = S3Access(s3.endpoint_url, s3.access_key, s3.secret_key, path_style=True)
    bucket, file = Bucket(access, s3.bucket, s3.region), disk.path / "vocals.wav"
    file.write_text("earlier")
    disk.fill(but=len(BODY) // 2)
    with pytest.raises(TransferFailed, match="No space left on device") as raised:
        bucket.download("stem", file)
    assert has_no_room(raised.value)
    assert ("earlier", {"vocals.wav"}) == (file.read_text(), names(disk.path))
    disk.free()
    bucket.download("stem", file, md5=hashlib.md5(BODY).hexdigest())
    bucket.close()
    assert file.read_bytes() == BODY


def test_the_manifest_of_a_run(disk: SmallDisk) -> None:
    """A step that does not fit is said with the file; the next run knows those before it, and goes on."""
    path = disk.path / "manifest.jsonl"
    with Manifest(path, "songs", {}) as manifest:
        disk.fill()
        with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
            _write_until_full(manifest)
        written = len(manifest.entries)
    disk.free()
    with Manifest(path, "songs", {}) as manifest:
        assert {f"{number}.mp3" for number in range(written)} == manifest.entries.keys()
        manifest.begin(Entry("again.mp3"), "again.mp3")


def _write_until_full(manifest: Manifest) -> None:
    """Write more steps than fit into a page, which the file has."""
    for number in range(1000):
        manifest.begin(Entry(f"{number}.mp3"), f"{number}.mp3")


def test_the_summary_of_a_run(disk: SmallDisk) -> None:
    """An earlier summary stays whole."""
    path = disk.path / "summary.csv"
    tracks: Any = [SimpleNamespace(id=f"{n}" * 100) for n in range(200)]
    manifest: Any = SimpleNamespace(entry=Entry)
    write_summary(path, manifest, tracks[:1])
    disk.fill()
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        write_summary(path, manifest, tracks)
    assert {path.name} == names(disk.path)
    with path.open() as file:
        assert [tracks[0].id] == [row["track"] for row in csv.DictReader(file)]


def test_a_bundle_of_models(disk: SmallDisk, weights_2stems: Path) -> None:
    """No half of a bundle is left."""
    path = disk.path / "models.tar"
    ended = CliRunner().invoke(main, f"models bundle -o {path} --directory {weights_2stems.parent}")
    assert (1, f"Error: {path}: No space left on device\n") == (
        ended.exit_code,
        ended.stderr.partition("Hint")[0],
    )
    assert not names(disk.path)


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    """What is no file keeps its place."""
    reading, writing = os.pipe()
    with whole_file(Path(f"/proc/self/fd/{writing}"), "w") as file:
        file.write("text")
    os.close(writing)
    with os.fdopen(reading) as read:
        assert read.read() == "text"


def test_profiles_and_secrets(disk: SmallDisk) -> None:
    """What was there stays."""
    environment = {"XDG_CONFIG_HOME": str(disk.path)}
    target = Target("http://a.test", "id", "key", bucket="b-1", region="r")
    save_profile("first", target, environment)
    write_private(disk.path / "credentials.json", "{}")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        save_profile("second", target, environment)
    with pytest.raises(OSError, match="No space left"):
        write_private(disk.path / "credentials.json", "x" * 10_000)
    assert "first" in profile_names(environment)
    assert (disk.path / "credentials.json").read_text() == "{}"


def test_weights_that_are_downloaded(disk: SmallDisk, tmp_path: Path) -> None:
    """The disk is named at once, no other try could fit; with room the download goes on where it ended."""
    source = tmp_path / "served"
    source.mkdir()
    (source / "weights").write_bytes(BODY)
    part = disk.path / "weights.part"
    served, port = _served(source)
    with served:
        url = f"http://127.0.0.1:{port}/weights"
        disk.fill(but=len(BODY) // 2)
        with pytest.raises(OSError, match=rf"No space left on device: '{part}'"):
            transfer(url, part, limit=len(BODY), pause_s=0.01)
        disk.free()
        transfer(url, part, limit=len(BODY), pause_s=0.01)
        served.terminate()
    assert part.read_bytes() == BODY


def _served(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Return a server of a folder's files and its port."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    return server, int(server.stdout.readline().split(" port ")[1].split()[0])


def test_weights_that_are_unpacked_or_installed(disk: SmallDisk, tmp_path: Path) -> None:
    """No archive is called damaged, and no half of a model is there."""
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "all.tar").open("wb") as file:
        pack([(MODEL, tmp_path)], file)
    store, folder = WeightStore(disk.path), disk.path / "unpacked"
    folder.mkdir()
    disk.fill(but=1 << 19)
    with pytest.raises(OSError, match=rf"No space left on device: '{folder}/.*'"):
        unpack_tar(tmp_path / "all.tar", MODEL, folder)
    for each in folder.iterdir():
        each.unlink()
    with pytest.raises(OSError, match=rf"No space left on device: '{store.folder(MODEL)}'"):
        store.install(MODEL, tmp_path)
    assert not names(disk.path)
    disk.free()
    store.install(MODEL, tmp_path)
    assert store.has(MODEL)


def test_the_cache_of_graphs_and_checksums(
    disk: SmallDisk, weights_2stems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that cannot be kept is used all the same, and so is a checksum."""
    model, folder = MODELS["2stems"], tmp_path / "model"
    folder.mkdir()
    for file in model.files:
        (folder / file.name).symlink_to(weights_2stems / file.name)
    monkeypatch.setenv("XDG_STATE_HOME", str(disk.path))
    assert isinstance(write_graph(model, folder, polyphase=True), bytes)
    assert cached_graph(model, folder, polyphase=True) is None
    assert not names(disk.path)
    disk.fill()
    old = folder / "old"
    old.write_bytes(BODY)
    os.utime(old, (1, 1))
    assert hashlib.sha256(BODY).hexdigest() == known_sha256(old)


def test_the_files_of_a_worker(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker on a full disk is alive, and a fault of its card is no reason to end."""
    alive = disk.path / "alive"
    with monkeypatch.context() as earlier:  # two times may be of the same millisecond
        earlier.setattr(time, "monotonic", lambda: 1.0)
        LivenessFile(alive).touch()
    first = alive.read_text()
    disk.fill()
    opened = io.open

    def filled(*given: Any, **options: Any) -> Any:
        """Let others take what a file gives back when it is cut."""
        file = opened(*given, **options)
        with monkeypatch.context() as undone:
            undone.setattr(io, "open", opened)
            disk.fill()
        return file

    monkeypatch.setattr(io, "open", filled)
    LivenessFile(alive).touch()
    monkeypatch.undo()
    assert age_s(alive) is not None
    assert alive.read_text() > first
    LivenessFile(disk.path / "other").touch()
    faults = DeviceFaults(disk.path, "card")
    faults.add()
    assert faults.out_of_service_s() == 0


METRICS = """
import os
from prometheus_client import CollectorRegistry, Counter, generate_latest
from stemline.runtime.compat import prometheus

folder = prometheus.share_values()
counter = Counter("jobs", "x", ["kind"])
counter.labels("first").inc()

def shown():
    registry = CollectorRegistry()
    prometheus.SharedValues(registry, folder)
    return generate_latest(registry).decode()

child = os.fork()
if child == 0:
    for number in range(500):
        counter.labels(f"of a child {number}").inc()
    os._exit(0)
print(os.waitpid(child, 0)[1], 'kind="first"} 1.0' in shown(), "child" in shown())
"""


@pytest.mark.parametrize("full", [True, False])
def test_shared_metrics(disk: SmallDisk, tmp_path: Path, full: bool) -> None:
    """A process that begins while the disk is full counts for itself; nothing kills it."""
    if full:
        disk.fill()
    folder = disk.path / "metrics"
    folder.mkdir()
    ended = python(METRICS, PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert f"0 {not full} {not full}\n" == ended.stdout
    assert (not full) == bool(names(folder))


LOGS = """
import logging, sys, structlog
from stemline.runtime.logging import configure, configure_console, signal_safe_writer
from stemline.runtime.settings import Settings

configure(Settings())
for _ in range(200):
    structlog.get_logger("job").info("attempt.ended", job="j" * 32)
    logging.getLogger("celery").warning("a line of a library")
    signal_safe_writer(Settings())("stopping")
configure_console()
structlog.get_logger("command").error("x")
print("goes on")
"""


def test_logs(disk: SmallDisk) -> None:
    """A process whose log takes no more lines does its work."""
    disk.fill()
    with (disk.path / "log").open("w") as log:
        assert python(LOGS, stderr=log).stdout == "goes on\n"


def python(code: str, *, stderr: Any = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, and show what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True, check=False
    )


def test_callbacks_that_are_recorded(disk: SmallDisk) -> None:
    """`stemline listen --json > FILE` ends with the reason once no more callbacks fit."""
    disk.fill()
    with (disk.path / "callbacks").open("w") as out, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "stemline", "listen", "--json", "--port", str(port)]
        listener = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
    assert listener.stderr is not None
    assert "Listening" in listener.stderr.readline()
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", json.dumps({}).encode()).close()
        _, said = listener.communicate(timeout=60)
    finally:
        listener.kill()
    assert (1, f"Error: the output cannot be written: {os.strerror(errno.ENOSPC)}\n") == (
        listener.returncode,
        said,
    )
