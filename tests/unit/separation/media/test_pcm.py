"""Samples between float and integers."""

from __future__ import annotations

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st

from stemline.separation.media.pcm import to_float, to_int16


@pytest.mark.parametrize(
    ("sample", "expected"),
    [(0.0, 0), (1.0, 32767), (1.7, 32767), (-1.0, -32768), (-9.0, -32768), (0.5, 16384), (1.4 / 32768, 1)],
)
def test_beyond_full_scale_is_clipped(sample: float, expected: int):
    """Samples are rounded to the nearest step and clipped, never wrapped."""
    assert expected == to_int16(np.array([[sample]], dtype=np.float32))[0, 0]


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_sixteen_bits_survive(values: list[int]):
    """16-bit samples go through float and back without the loss of a bit."""
    frame = AudioFrame.from_ndarray(np.array([values], dtype=np.int16), format="s16", layout="mono")

    assert values == to_int16(to_float(frame))[:, 0].tolist()


@pytest.mark.parametrize(
    ("kind", "dtype", "full"),
    [
        ("u8", np.uint8, 0),
        ("s16", np.int16, -(2**15)),
        ("s32", np.int32, -(2**31)),
        ("flt", np.float32, -1),
        ("dbl", np.float64, -1),
    ],
)
@pytest.mark.parametrize("planar", ["", "p"])
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
def test_every_sample_format_has_its_full_scale(
    kind: str, dtype: type, full: int, planar: str, layout: str, channels: int
):
    """Negative full scale is -1.0 in every channel, for each sample format of FFmpeg."""
    values: np.ndarray = np.full((4, channels), full, dtype=dtype)
    values[1, 0] = 128 if kind == "u8" else 0
    array = np.ascontiguousarray(values.T) if planar else values.reshape(1, -1)
    frame = AudioFrame.from_ndarray(array, format=kind + planar, layout=layout)

    expected = np.full((4, channels), -1.0)
    expected[1, 0] = 0.0
    assert expected.tolist() == to_float(frame).tolist()
