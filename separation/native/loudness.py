"""Energies by BS.1770's weighting of frequencies, in the compiled library; `loudness.c` says how."""

from __future__ import annotations

import ctypes
import math

import numpy as np
from numpy.typing import NDArray


class NativeWeighting:
    """Weights a stream, and adds up the squares of each step of 100 ms.

    Args:
        library: The one that `library.load` finds.
        samplerate: Hz.
        channels: 1 or 2.

    Raises:
        ValueError: `channels` is another number.
    """

    def __init__(self, library: ctypes.CDLL, samplerate: int, channels: int) -> None:
        if channels not in (1, 2):
            raise ValueError(f"The weighting takes one channel or two, not {channels}.")
        self._library = _declared(library)
        self._channels = channels
        self._filters = np.array([*_shelf(samplerate), *_high_pass(samplerate)])
        self._memory = np.zeros(library.loudness_state())
        #: Samples of a step.
        self.step = round(samplerate / 10)

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Take the next samples of the stream; return the energy of each step that they complete.

        Args:
            samples: (samples, channels).

        Raises:
            ValueError: They have another number of channels.
        """
        if samples.ndim != 2 or samples.shape[1] != self._channels:
            raise ValueError(f"Expected samples of {self._channels} channels: {samples.shape}.")
        samples = np.ascontiguousarray(samples, np.float32)
        energies = np.empty(len(samples) // self.step + 1)
        steps = self._library.loudness_feed(
            self._filters.ctypes.data,
            self._memory.ctypes.data,
            samples.ctypes.data,
            len(samples),
            self._channels,
            self.step,
            energies.ctypes.data,
        )
        return energies[:steps]


def _shelf(samplerate: int) -> tuple[float, ...]:
    """Return the filter for what a head does to sounds: 4 dB more above 1.7 kHz."""
    turn = math.tan(math.pi * 1681.974450955533 / samplerate)
    quality, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + turn / quality + turn * turn
    return (
        (high + band * turn / quality + turn * turn) / scale,
        2 * (turn * turn - high) / scale,
        (high - band * turn / quality + turn * turn) / scale,
        2 * (turn * turn - 1) / scale,
        (1 - turn / quality + turn * turn) / scale,
    )


def _high_pass(samplerate: int) -> tuple[float, ...]:
    """Return the filter that takes away what is below 38 Hz."""
    turn, quality = math.tan(math.pi * 38.13547087602444 / samplerate), 0.5003270373238773
    scale = 1 + turn / quality + turn * turn
    return 1.0, -2.0, 1.0, 2 * (turn * turn - 1) / scale, (1 - turn / quality + turn * turn) / scale


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, long = ctypes.c_void_p, ctypes.c_long
    library.loudness_state.argtypes, library.loudness_state.restype = [], long
    library.loudness_feed.argtypes = [pointer, pointer, pointer, long, ctypes.c_int, long, pointer]
    library.loudness_feed.restype = long
    return library
