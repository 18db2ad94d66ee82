"""Decoding in a child process: the same samples, within limits of memory, processor time and waiting."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemline.separation import decoder_child
from stemline.separation.decoder import Decoder, DecodingLimits
from stemline.separation.errors import (
    Cancelled,
    DecoderCrashed,
    DecoderLost,
    DecodingTooExpensive,
    OptionError,
    TooLong,
    UndecodableMedia,
)
from stemline.separation.media import MediaLimits, open_audio
from stemline.testing.processes import eventually
from tests.media import Kind, make, tone
from tests.support.processes import alive, children

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """A decoder with the usual limits."""
    decoder = Decoder()
    yield decoder
    decoder.close()


def test_the_samples_are_the_same(decoder: Decoder, tmp_path: Path):
    """A child gives the blocks, the properties and the kept tags that decoding in this process gives."""
    kind = Kind("mp3", "libmp3lame", rate=48_000)
    path = make(tmp_path / "in.mp3", kind, tone(48_000 * 5, rate=48_000), {"title": "Söng", "artist": "X"})
    for _ in range(2):
        with open_audio(path, limits=LIMITS) as here, decoder.open(path, limits=LIMITS) as there:
            assert here.source == there.source
            assert here.duration_s == there.duration_s
            assert {"title": "Söng", "artist": "X"} == dict(there.tags)
            for mine, theirs in zip(here, there, strict=True):
                assert np.array_equal(mine, theirs)
                assert theirs.flags.c_contiguous


def test_errors_arrive_as_themselves(decoder: Decoder, tmp_path: Path):
    """What a source is refused for has the same class and message, at opening and while decoding."""
    words = tmp_path / "in.mp3"
    words.write_text("not music " * 100)
    song = make(tmp_path / "in.aac", Kind("aac", "aac", muxer="adts"), tone(44_100 * 6))

    with pytest.raises(UndecodableMedia):
        decoder.open(words, limits=LIMITS)
    with pytest.raises(OptionError, match="no audio track '3'"):
        decoder.open(song, limits=LIMITS, track="3")
    with decoder.open(song, limits=MediaLimits(3, 10**9)) as audio, pytest.raises(TooLong, match="3 s"):
        list(audio)


def test_a_crash_is_an_error_of_its_own(decoder: Decoder, tmp_path: Path):
    """A decoder that dies of a signal ends its own job alone; the next source is decoded."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 60))

    with decoder.open(path, limits=LIMITS) as audio:
        blocks = iter(audio)
        next(blocks)
        (child,) = children(decoder._server.process.pid)
        os.kill(child, signal.SIGSEGV)
        with pytest.raises(DecoderCrashed) as caught:
            list(blocks)
        assert type(caught.value) is DecoderCrashed

    with decoder.open(path, limits=LIMITS) as audio:
        assert 60 * 44_100 == sum(map(len, audio))


def spinning(path: Path) -> Path:
    """Write a matroska of 40 MB of two-byte elements, which takes minutes to read."""
    head = b"\x1a\x45\xdf\xa3\x80" + bytes.fromhex("18538067") + b"\x01\xff\xff\xff\xff\xff\xff\xff"
    path.write_bytes(head + b"\xec\x80" * 20_000_000)
    return path


def test_processor_time_is_limited(tmp_path: Path):
    """A source that takes too much processor time fails with an error that says so."""
    decoder = Decoder(DecodingLimits(cpu_s=1))
    started = time.monotonic()

    with pytest.raises(DecodingTooExpensive, match="processor time"):
        decoder.open(spinning(tmp_path / "in.mkv"), limits=LIMITS)

    assert time.monotonic() - started < 180  # it would take minutes
    decoder.close()


def test_a_small_file_must_not_open_slowly(tmp_path: Path):
    """Opening may take a time that grows with the file: a few megabytes of tags hold no worker long."""
    song = make(tmp_path / "in.flac", Kind("flac", "flac"), tone(44_100)).read_bytes()
    texts = [b"k%d=v" % number for number in range(400_000)]
    comments = struct.pack("<II", 0, len(texts)) + b"".join(
        struct.pack("<I", len(each)) + each for each in texts
    )
    path = tmp_path / "tags.flac"
    path.write_bytes(song[:42] + b"\x04" + len(comments).to_bytes(3, "big") + comments + song[42:])
    decoder = Decoder(DecodingLimits(start_cpu_s=1))

    with pytest.raises(DecodingTooExpensive, match="processor time"):
        decoder.open(path, limits=LIMITS)
    decoder.close()


def test_long_audio_may_take_longer_than_its_opening(monkeypatch):
    """Each second of audio, and each part of a large file, allows more; nothing allows more than the most."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    time = decoder_child._ProcessorTime(3, 2 * decoder_child.BYTES_PER_CPU_S, 20)
    for audio_s in (0.1, 14.8, 0.2, 100.0, 100.0):
        time.extend(audio_s)
    assert [(5, 25), (6, 25), (8, 25), (9, 25), (20, 25)] == limits


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_a_cancel_ends_it_at_once(after_s: float, decoder: Decoder, tmp_path: Path):
    """A cancel ends a source that is still being opened, and its process with it, long before its end."""
    path = spinning(tmp_path / "in.mkv")
    asked = threading.Event()
    threading.Timer(after_s, asked.set).start()
    started = time.monotonic()

    with pytest.raises(Cancelled):
        decoder.open(path, limits=LIMITS, cancelled=asked.is_set)

    assert time.monotonic() - started < 180  # it would take minutes


def test_memory_is_limited(decoder: Decoder, tmp_path: Path):
    """A process that wants more memory than it may have ends its job with an error that says so."""
    song = make(tmp_path / "in.flac", Kind("flac", "flac"), tone(44_100)).read_bytes()
    picture = bytes(8) + bytes(20) + (8 << 20).to_bytes(4, "big") + bytes(8 << 20)
    path = tmp_path / "big.flac"
    path.write_bytes(song[:42] + b"\x06" + len(picture).to_bytes(3, "big") + picture + song[42:])
    with decoder.open(path, limits=LIMITS) as audio:
        assert 44_100 == sum(map(len, audio))
    strict = Decoder(DecodingLimits(memory_bytes=6 << 20))

    with pytest.raises(DecodingTooExpensive, match="memory"), strict.open(path, limits=LIMITS) as audio:
        list(audio)
    strict.close()


def test_opening_takes_a_limited_time(tmp_path: Path):
    """A source that is not open in time fails with an error that says so."""
    decoder = Decoder(DecodingLimits(open_s=0.3))

    with pytest.raises(DecodingTooExpensive, match="Opening"):
        decoder.open(spinning(tmp_path / "in.mkv"), limits=LIMITS)

    decoder.close()


def test_no_process_is_left(tmp_path: Path):
    """The death of the process that has a decoder leaves neither its server nor a child behind."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 30))
    code = (
        "import sys; from pathlib import Path; from stemline.separation.decoder import Decoder;"
        "from stemline.separation.media import MediaLimits;"
        "d = Decoder(); a = d.open(Path(sys.argv[1]), limits=MediaLimits(9e9, 9**12));"
        "print(d._server.process.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    left = [server, *children(server)]
    assert 2 == len(left)

    parent.kill()
    parent.communicate()

    assert_gone(left)


def assert_gone(pids: list[int]) -> None:
    eventually(lambda: not any(map(alive, pids)), 180, "the end of the processes")


def test_a_killed_server_is_replaced(decoder: Decoder, tmp_path: Path):
    """Where the server is killed, its children die, the error says so, and the next source is decoded."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 60))
    with decoder.open(path, limits=LIMITS) as audio:
        server = decoder._server.process.pid
        child = children(server)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(DecoderLost):
            list(audio)
    decoder._server.process.wait()
    assert_gone(child)

    with decoder.open(path, limits=LIMITS) as audio:
        assert 60 * 44_100 == sum(map(len, audio))

    assert server != decoder._server.process.pid


def test_sources_are_decoded_beside_each_other(decoder: Decoder, tmp_path: Path):
    """Several sources are read at a time, and closing one leaves the others alone."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 20))
    first, second = (decoder.open(path, limits=LIMITS) for _ in range(2))
    with second:
        next(iter(first))
        first.close()
        assert 20 * 44_100 == sum(map(len, second))


def test_a_child_has_nothing_of_the_service(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A child has no variable of the service, no descriptor but its own, and a server of one thread."""
    monkeypatch.setenv("STEMLINE_REDIS_URL", "redis://:secret@127.0.0.1/0")
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 60))
    secret = tmp_path / "secret"
    with secret.open("w") as held:
        os.set_inheritable(held.fileno(), True)
        with decoder.open(path, limits=LIMITS), decoder.open(path, limits=LIMITS):
            server = decoder._server.process.pid
            assert 1 == len(list(Path(f"/proc/{server}/task").iterdir()))
            for pid in children(server):
                assert b"STEMLINE" not in Path(f"/proc/{pid}/environ").read_bytes()
                opened = {link.name: str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
                assert opened.pop("1").startswith("pipe:")
                assert str(secret) not in opened.values()
                assert {"0", "2"} < set(opened)
                assert {str(path)} == {opened[name] for name in set(opened) - {"0", "2"}}


def test_no_descriptor_is_left(decoder: Decoder, tmp_path: Path):
    """Sources that were read, refused or given up leave no descriptor open, here and in the server."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 5))
    words = tmp_path / "in.mp3"
    words.write_text("not music " * 100)

    def opened() -> tuple[int, int]:
        theirs = Path(f"/proc/{decoder._server.process.pid}/fd")
        return len(list(Path("/proc/self/fd").iterdir())), len(list(theirs.iterdir()))

    def use() -> None:
        with decoder.open(path, limits=LIMITS) as audio:
            list(audio)
        with decoder.open(path, limits=LIMITS) as audio:
            next(iter(audio))
        with pytest.raises(UndecodableMedia):
            decoder.open(words, limits=LIMITS)
        with pytest.raises(Cancelled):
            decoder.open(path, limits=LIMITS, cancelled=lambda: True)

    use()
    before = opened()
    for _ in range(5):
        use()

    # The server closes its end of a link just after it said how the child ended, so each count, also the
    # first, may be one too high for a moment; five uses that leave one each are above that.
    eventually(
        lambda: all(now <= then for now, then in zip(opened(), before, strict=True)),
        180,
        "the descriptors' end",
    )
