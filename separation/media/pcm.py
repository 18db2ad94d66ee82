"""Conversion of decoded samples to float, and of float to the samples that encoders take."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

_DTYPES = {
    "u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64,
}  # fmt: skip
_FULL_SCALE = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63}


def to_float(frame: AudioFrame, *, holds_floats: bool = False) -> NDArray[np.float32]:
    """Return a decoded frame as float32 (frames, channels), full scale being 1.0.

    Args:
        frame: The frame.
        holds_floats: Whether its integers of 32 bits are the bytes of floats.
    """
    kind = "flt" if holds_floats else frame.format.name.removesuffix("p")
    dtype = _DTYPES[kind]
    channels = frame.layout.nb_channels
    planes: Any = frame.planes
    samples = np.empty((frame.samples, channels), np.float32)
    # A double beyond the range of a float becomes infinite, which is refused later.
    with np.errstate(over="ignore", invalid="ignore") if kind == "dbl" else nullcontext():
        # Not frame.to_ndarray(), which reads one plane too many of a planar frame of 8 channels.
        if frame.format.is_planar:
            for channel in range(channels):
                samples[:, channel] = np.frombuffer(planes[channel], dtype, frame.samples)
        else:
            samples.reshape(-1)[:] = np.frombuffer(planes[0], dtype, samples.size)
    if kind == "u8":
        samples -= np.float32(128.0)
    if kind in _FULL_SCALE:
        samples *= np.float32(_FULL_SCALE[kind])
    return samples


def quantised(
    samples: NDArray[np.float32], bits: int, *, clips: bool, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return a copy of the samples as an encoder takes them, full scale being 1.0.

    Args:
        samples: Of any shape.
        bits: 16 or 24; 32 is floating point, which is not rounded.
        clips: Whether samples beyond full scale are clipped.
        out: Where the copy is made; by default in fresh memory.
    """
    if out is None:
        out = np.empty_like(samples)
    if bits == 32:
        if clips:
            return np.clip(samples, -1.0, 1.0, out=out)
        out[...] = samples
        return out
    scale = np.float32(2.0 ** (bits - 1))
    np.multiply(samples, scale, out=out)
    np.rint(out, out=out)
    np.clip(out, -scale, scale - 1, out=out)
    out *= 1 / scale  # exact: a power of two
    return out


def to_int24(samples: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the nearest 24-bit values, in the upper bits of 32; beyond full scale they are clipped.

    The result has the shape of `samples`.
    """
    scaled = samples * np.float32(8_388_608.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -8_388_608.0, 8_388_607.0, out=scaled)
    return scaled.astype(np.int32, order="C") << 8


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return the nearest 16-bit values, in the shape of `samples`; beyond full scale they are clipped.

    No dither is added: silence stays digital silence, equal input gives equal files, and the error is at most
    half a step.
    """
    scaled = samples * np.float32(32768.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768.0, 32767.0, out=scaled)
    return scaled.astype(np.int16, order="C")
