"""What a decoding process sends is not believed: a file may have taken it over."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

from stemline.separation.decoder_child import BLOCK, END, ERROR, HEADER, SOURCE
from stemline.separation.decoder_server import STATUS
from stemline.separation.errors import DecoderCrashed, DeviceError, TooLong, UndecodableMedia
from stemline.separation.isolated_audio import IsolatedAudio
from stemline.separation.network import SAMPLE_RATE

GOOD = {
    "codec": "mp3",
    "samplerate": 48_000,
    "channels": 2,
    "bitrate_kbps": None,
    "container": "mp3",
    "duration_s": 1.5,
}


def message(kind: bytes, content: bytes) -> bytes:
    return HEADER.pack(kind, len(content)) + content


def about(source: Any, tags: Any) -> bytes:
    return message(SOURCE, json.dumps([source, tags]).encode())


def block(*samples: float) -> bytes:
    return message(BLOCK, np.array(samples, np.float32).tobytes())


@contextmanager
def sent(*messages: bytes, max_duration_s: float = 10.0) -> Iterator[IsolatedAudio]:
    """The audio of a child that sends some bytes and ends."""
    output, childs = os.pipe()
    link, servers = socket.socketpair()

    def send() -> None:
        with os.fdopen(childs, "wb") as pipe, suppress(BrokenPipeError):
            pipe.write(b"".join(messages))

    thread = threading.Thread(target=send, daemon=True)
    with servers:
        servers.send(STATUS.pack(0))
        thread.start()
        with IsolatedAudio(output, link, None, max_duration_s) as audio:
            yield audio
    thread.join()


def test_what_is_right_is_read():
    """Properties, tags and samples arrive; of the tags those that stems keep."""
    with sent(about(GOOD, {"title": "Song", "evil": "x"}), block(0.5, -0.5), message(END, b"")) as audio:
        audio.begin(1)
        assert (48_000, 1.5, {"title": "Song"}) == (audio.source.samplerate, audio.duration_s, audio.tags)
        assert [[[0.5, -0.5]]] == [each.tolist() for each in audio]


@pytest.mark.parametrize(
    "content",
    [
        about({**GOOD, "samplerate": -1}, {}),
        about({**GOOD, "samplerate": "48000"}, {}),
        about({**GOOD, "samplerate": True}, {}),
        about({**GOOD, "channels": 10**13}, {}),
        about({**GOOD, "duration_s": float("nan")}, {}),
        about({**GOOD, "duration_s": float("inf")}, {}),
        about({**GOOD, "codec": "x" * 10_000}, {}),
        about({**GOOD, "container": None}, {}),
        about({**GOOD, "more": 1}, {}),
        about({}, {}),
        about([], {}),
        about(GOOD, {"title": 1}),
        about(GOOD, ["title"]),
        message(SOURCE, b"no JSON"),
        message(SOURCE, b"\xff\xfe"),
        message(SOURCE, b"[" * 200_000 + b"]" * 200_000),
        message(SOURCE, b"[1, 2, 3]"),
        message(SOURCE, b"9" * 10_000),
        message(ERROR, b"[]"),
        message(ERROR, b'["SeparationError", 1]'),
        message(ERROR, b'["DeviceError", "of the device"]'),
        message(ERROR, b'["annotations", "no error"]'),
        message(ERROR, b"[1, 2]"),
        block(0.5, 0.5),
        HEADER.pack(SOURCE, 1 << 31),
    ],
)
def test_what_no_source_is_ends_as_a_crash(content: bytes):
    """Neither an error of the program, nor one that would blame the worker's device."""
    with sent(content) as audio, pytest.raises(DecoderCrashed) as caught:
        audio.begin(1)
    assert not isinstance(caught.value, DeviceError)


def test_errors_of_the_source_are_its_own():
    """What a child may report arrives as it is."""
    for name, kind in (("UndecodableMedia", UndecodableMedia), ("TooLong", TooLong)):
        report = message(ERROR, json.dumps([name, "because"]).encode())
        with sent(report) as audio, pytest.raises(kind, match="because"):
            audio.begin(1)


@pytest.mark.parametrize("samples", [(float("nan"), 0.0), (0.0, float("inf")), (0.0, 0.0, 0.0)])
def test_samples_that_no_source_has(samples: tuple[float, ...]):
    """Samples that are no numbers, and halves of a frame, reach no network."""
    with sent(about(GOOD, {}), block(*samples)) as audio:
        audio.begin(1)
        with pytest.raises(DecoderCrashed):
            list(audio)


def test_no_source_goes_on_for_ever():
    """More samples than the longest source has end the job, though the child does not."""
    second = message(BLOCK, bytes(8 * SAMPLE_RATE))
    with sent(about(GOOD, {}), *[second] * 20, message(END, b"")) as audio:
        audio.begin(1)
        with pytest.raises(DecoderCrashed):
            list(audio)
