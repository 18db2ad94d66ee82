"""Peak, clipping and loudness of a stream of samples, in constant memory for any length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from stemline.separation.errors import OutputError

#: Lowest level that is reported, dBFS: an exact null has no logarithm.
FLOOR_DB: Final = -200.0
#: Gate of BS.1770 below which there is no loudness, LUFS.
_GATE_LUFS = -70.0
#: Longest frame that is given to the loudness filter, samples.
_FRAME = 16_384

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one stem, before its samples are clipped for the file.

    Attributes:
        peak_db: The largest sample, dBFS; above 0 beyond full scale, None for digital silence.
        clipped: Samples, counted in each channel, that the file holds clipped to full scale.
        loudness_lufs: Integrated loudness by BS.1770-4, LUFS; None where everything is below its gate.
    """

    peak_db: float | None = None
    clipped: int = 0
    loudness_lufs: float | None = None


def decibels(ratio: float) -> float:
    """Return an amplitude relative to full scale in dBFS, not below `FLOOR_DB`."""
    return max(20 * math.log10(ratio), FLOOR_DB) if ratio > 0 else FLOOR_DB


class PeakMeter:
    """Finds the largest sample and counts those beyond full scale."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.beyond = 0

    def feed(self, samples: Samples) -> None:
        """Take (frames, channels).

        Raises:
            OutputError: A sample is not a finite number, which has no level.
        """
        if not samples.size:
            return
        highest, lowest = float(samples.max()), float(samples.min())
        if not math.isfinite(highest - lowest):
            raise OutputError("A stem has samples that are not finite numbers.")
        self.peak = max(self.peak, highest, -lowest)
        if highest > 1.0 or lowest < -1.0:
            self.beyond += int(np.count_nonzero(np.abs(samples) > 1.0))


class LoudnessMeter:
    """Measures integrated loudness by BS.1770-4 through FFmpeg's ebur128 filter."""

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
        return self._loudness if self._loudness > _GATE_LUFS else None

    def _drain(self) -> None:
        while True:
            try:
                frame: Any = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if found := frame.metadata.get("lavfi.r128.I"):
                self._loudness = float(found)
