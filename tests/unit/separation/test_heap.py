"""How glibc gives memory to the threads of a separation."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from stemline.separation.heap import share_heap

#: Starts threads that hold memory of glibc's own, and prints how many heaps `malloc_info` lists.
THREADS = """
import ctypes, sys, tempfile, threading
from stemline.separation.heap import share_heap
if sys.argv[1]:
    share_heap()
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_threads_share_one_heap() -> None:
    """Threads that take memory at the same time take it from one heap, instead of one for each."""
    heaps = [int(subprocess.check_output([sys.executable, "-c", THREADS, call])) for call in ("", "share")]
    assert heaps[0] > heaps[1] == 1


@pytest.mark.parametrize("library", [SimpleNamespace(), SimpleNamespace(mallopt=None)])
def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, library: object) -> None:
    """Where the C library has no such function, nothing is called."""
    asked: list[object] = []

    def load(name: object) -> object:
        asked.append(name)
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    share_heap()
    assert [None] == asked
