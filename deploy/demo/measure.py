"""How well a stem was found."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt


def samples(wav: bytes) -> npt.NDArray[np.float64]:
    """The samples of a 16-bit wav file, (samples, channels), full scale 1."""
    with wave.open(io.BytesIO(wav)) as reader:
        raw = reader.readframes(reader.getnframes())
        return np.frombuffer(raw, "<i2").reshape(-1, reader.getnchannels()) / 32768


def sdr_db(true: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Signal-to-distortion ratio, dB: the true stem's energy over that of the difference.

    Raises:
        ValueError: they differ in length, so that no sample can be compared with its own.
    """
    if true.shape != found.shape:
        raise ValueError(f"the stem has shape {found.shape}, not {true.shape}")
    error = float(np.sum((true - found) ** 2))
    return float(10 * np.log10(np.sum(true**2) / max(error, 1e-20)))
