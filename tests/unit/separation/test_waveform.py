"""Waveforms of streams of any length."""

from __future__ import annotations

import base64

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.separation.waveform import PAIRS, WaveformMeter


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30_000), st.integers(7, 9000), st.integers(0, 9))
def test_pairs_are_the_extremes_of_their_samples(length: int, block: int, seed: int) -> None:
    """Each pair holds the smallest and the largest sample of its part, however the stream is cut."""
    samples = np.random.default_rng(seed).uniform(-1.1, 1.1, (length, 2)).astype(np.float32)
    meter = WaveformMeter()
    for at in range(0, length, block):
        meter.feed(samples[at : at + block])
    wave = meter.finish()
    found = np.frombuffer(base64.b64decode(wave.data), np.int8).reshape(-1, 2)
    parts = [samples[at : at + wave.samples_per_pair] for at in range(0, length, wave.samples_per_pair)]
    scaled = [np.rint(np.clip([part.min(), part.max()], -1, 1) * np.float32(127)) for part in parts]
    assert found.tolist() == np.array(scaled).tolist()
    assert len(found) <= PAIRS
    assert len(found) > PAIRS // 2 or wave.samples_per_pair == 1


def test_an_empty_stream_has_no_pairs() -> None:
    """A stream without samples gives an empty waveform."""
    assert WaveformMeter().finish().data == ""
