"""Integrated loudness of a stream of samples by BS.1770-4, in constant memory for any length."""

from __future__ import annotations

import math
from typing import Any, Final, Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from stemline.separation.measure import Samples
from stemline.separation.native.library import find
from stemline.separation.native.loudness import NativeWeighting

#: Gate of BS.1770 below which there is no loudness, LUFS.
GATE_LUFS: Final = -70.0
#: Blocks this much below the mean of all do not count, LU.
_RELATIVE_GATE_LU: Final = 10.0
#: Of a power of 1, LUFS.
_OFFSET_LUFS: Final = -0.691
#: Steps of 100 ms in a block; a block ends with each step.
_STEPS: Final = 4
#: Blocks are counted in classes of this width, LU, of which the last is for all that are louder.
_GRAIN_LU: Final = 0.01
_CLASSES: Final = 12_000
#: Longest frame that is given to FFmpeg's filter, samples.
_FRAME: Final = 16_384


class LoudnessMeter(Protocol):
    """Measures a stream."""

    def feed(self, samples: Samples) -> None:
        """Take (frames, channels)."""

    def finish(self) -> float | None:
        """Return the integrated loudness, LUFS; None where everything is below the gate."""


def loudness_meter(samplerate: int, channels: int) -> LoudnessMeter:
    """Return the fastest meter that there is.

    Args:
        samplerate: Hz.
        channels: 1 or 2.
    """
    library = find().library
    if library is None:
        return FFmpegLoudness(samplerate, channels)
    return NativeLoudness(NativeWeighting(library, samplerate, channels))


class NativeLoudness:
    """What BS.1770 makes of the energies that the compiled library finds."""

    def __init__(self, weighting: NativeWeighting) -> None:
        self._weighting = weighting
        self._steps = np.zeros(0)
        self._counts, self._powers = np.zeros(_CLASSES, np.int64), np.zeros(_CLASSES)

    def feed(self, samples: Samples) -> None:
        """Take (frames, channels)."""
        steps = np.concatenate([self._steps, self._weighting.feed(samples)])
        self._steps = steps[-(_STEPS - 1) :]
        if len(steps) < _STEPS:
            return
        powers = np.lib.stride_tricks.sliding_window_view(steps, _STEPS).sum(axis=1)
        powers /= _STEPS * self._weighting.step
        powers = powers[(powers > _power(GATE_LUFS)) & (powers < np.inf)]
        numbers = np.minimum((_lufs(powers) - GATE_LUFS) / _GRAIN_LU, _CLASSES - 1).astype(int)
        np.add.at(self._counts, numbers, 1)
        np.add.at(self._powers, numbers, powers)

    def finish(self) -> float | None:
        """Return the integrated loudness, LUFS; None where everything is below the gate."""
        if not self._counts.any():
            return None
        all_blocks = _lufs(self._powers.sum() / self._counts.sum())
        first = math.floor((all_blocks - _RELATIVE_GATE_LU - GATE_LUFS) / _GRAIN_LU)
        first = min(max(first, 0), _CLASSES - 1)
        return float(_lufs(self._powers[first:].sum() / self._counts[first:].sum()))


class FFmpegLoudness:
    """FFmpeg's ebur128 filter, for where nothing was compiled: it takes three times as long."""

    def __init__(self, samplerate: int, channels: int) -> None:
        """Build the filter.

        Args:
            samplerate: Hz.
            channels: 1 or 2.
        """
        self._layout = "mono" if channels == 1 else "stereo"
        self._rate = samplerate
        self._graph = Graph()
        source = self._graph.add_abuffer(sample_rate=samplerate, format="flt", layout=self._layout)
        meter = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()
        self._frames = 0
        self._loudness = -math.inf

    def feed(self, samples: Samples) -> None:
        """Take (frames, channels)."""
        for at in range(0, len(samples), _FRAME):
            piece = np.ascontiguousarray(samples[at : at + _FRAME], np.float32)
            frame = AudioFrame.from_ndarray(piece.reshape(1, -1), format="flt", layout=self._layout)
            frame.sample_rate = self._rate
            frame.pts = self._frames
            self._frames += len(piece)
            self._graph.push(frame)
            self._drain()

    def finish(self) -> float | None:
        """Return the integrated loudness, LUFS; None where everything is below the gate."""
        # The filter measures whole steps of 100 ms, and BS.1770 whole blocks of 400 ms.
        self._graph.push(None)
        self._drain()
        return self._loudness if self._loudness > GATE_LUFS else None

    def _drain(self) -> None:
        while True:
            try:
                frame: Any = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if found := frame.metadata.get("lavfi.r128.I"):
                self._loudness = float(found)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))


def _lufs(power: Any) -> Any:
    return 10 * np.log10(power) + _OFFSET_LUFS
