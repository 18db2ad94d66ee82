"""How glibc gives memory to the threads of a separation."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stemline.runtime import bootstrap
from stemline.runtime.errors import UnusableFolder
from stemline.runtime.settings import Settings
from stemline.separation.heap import keep_heap

#: Starts threads that hold memory of glibc's own, and prints how many heaps `malloc_info` lists.
THREADS = """
import ctypes, sys, tempfile, threading
from stemline.separation.heap import keep_heap
if sys.argv[1]:
    keep_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(5)
def hold():
    libc.malloc(ctypes.c_size_t(100_000))
    barrier.wait()
    barrier.wait()
threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads:
    thread.start()
barrier.wait()
with tempfile.NamedTemporaryFile() as file:
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(open(file.name).read().count("<heap nr="))
barrier.wait()
"""

#: Takes and frees 12 MB in one thread after the other, and prints how many pages were new after the first.
PAGES = """
import ctypes, resource, sys, threading
from stemline.separation.heap import keep_heap
if sys.argv[1]:
    keep_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def separate():
    blocks = [libc.malloc(ctypes.c_size_t(1 << 18)) for _ in range(48)]
    for block in blocks:
        libc.memset(ctypes.c_void_p(block), 1, ctypes.c_size_t(1 << 18))
        libc.free(ctypes.c_void_p(block))
for song in range(5):
    if song == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=separate)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_freed_memory_is_used_again() -> None:
    """A heap that keeps what is freed needs no new pages for the next songs."""
    pages = [int(subprocess.check_output([sys.executable, "-c", PAGES, call])) for call in ("", "keep")]
    assert 10 * pages[1] < pages[0]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_threads_share_one_heap() -> None:
    """Threads that take memory at the same time take it from one heap, instead of one for each."""
    heaps = [int(subprocess.check_output([sys.executable, "-c", THREADS, call])) for call in ("", "keep")]
    assert heaps[0] > heaps[1] == 1


@pytest.mark.parametrize("library", [SimpleNamespace(), SimpleNamespace(mallopt=None)])
def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, library: object) -> None:
    """Where the C library has no such function, nothing is called."""
    asked: list[object] = []

    def load(name: object) -> object:
        asked.append(name)
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    keep_heap()
    assert [None] == asked


@pytest.mark.parametrize("device", ["cuda", "auto", "cpu"])
def test_a_worker_of_a_card_keeps_its_heap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str
) -> None:
    """Its process serves all jobs; where children do, each of them gives back what it does not need."""
    kept: list[str] = []
    monkeypatch.setattr("stemline.workers.freed_memory.keep_heap", lambda: kept.append(device))
    with pytest.raises(UnusableFolder):
        bootstrap.separation_worker(Settings(scratch_dir=tmp_path / "missing", device=device))
    assert kept == ["cuda"] * (device == "cuda")
