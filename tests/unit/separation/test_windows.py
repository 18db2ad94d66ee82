from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.errors import EmptyAudio, NonFiniteAudio, OptionError
from stemline.separation.network import FRAME, HOP, SEGMENT_FRAMES
from stemline.separation.stft import span
from stemline.separation.windows import CONTEXT_WINDOW_FRAMES, split

SEGMENT = SEGMENT_FRAMES * HOP


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((samples, 2), dtype=np.float32)


def blocks(signal: np.ndarray, size: int) -> list[np.ndarray]:
    return [signal[start : start + size] for start in range(0, len(signal), size)]


def delivered(windows, context: int) -> np.ndarray:
    """Put together what the windows deliver, as if the networks changed nothing."""
    pieces = []
    for window in windows:
        start = window.keep.start * HOP + window.skip
        pieces.append(window.samples(start, start + window.length))
    return np.concatenate(pieces, axis=1).T


@pytest.mark.parametrize("context", [0, 1, 64, 200])
@pytest.mark.parametrize(
    "samples",
    [
        1,
        4095,
        HOP * 7,
        SEGMENT - FRAME - 1,
        SEGMENT - FRAME,
        SEGMENT,
        span(512) - FRAME,
        span(512) + 1,
        5 * SEGMENT + 77,
    ],
)
def test_every_sample_is_delivered_once_and_in_place(samples: int, context: int) -> None:
    """Windows of any context deliver each sample of the stream exactly once, in order."""
    signal = noise(samples)
    windows = list(split(blocks(signal, 50_000), context=context))
    assert np.array_equal(signal, delivered(windows, context))


@pytest.mark.parametrize("size", [1_000, 32_768, 10**7])
def test_the_size_of_blocks_does_not_matter(size: int) -> None:
    """The same stream in other blocks gives the same windows."""
    signal = noise(3 * SEGMENT + 5)
    expected = list(split([signal]))
    actual = list(split(blocks(signal, size)))
    assert [window.keep for window in expected] == [window.keep for window in actual]
    assert all(np.array_equal(a.samples(), b.samples()) for a, b in zip(expected, actual, strict=True))


def test_segments_are_spleeters() -> None:
    """Without context, window k holds frames 512 k to 512 k + 511 of the signal after one frame of zeros."""
    signal = noise(2 * SEGMENT + 99)
    padded = np.pad(signal, ((FRAME, 2 * SEGMENT), (0, 0)))
    windows = list(split(blocks(signal, 7_777)))
    frames = -(-(len(signal) + FRAME) // HOP)
    assert -(-frames // SEGMENT_FRAMES) == len(windows)
    for number, window in enumerate(windows):
        start = number * SEGMENT
        assert np.array_equal(padded[start : start + span(SEGMENT_FRAMES)].T, window.samples())


def test_context_is_the_neighbours_sound() -> None:
    """With context, a window shows what comes before and after the part that is kept of it."""
    signal = noise(3 * CONTEXT_WINDOW_FRAMES * HOP)
    padded = np.pad(signal, ((FRAME, 0), (0, 0)))
    _, second, *_ = split([signal], context=64)
    first_frame = CONTEXT_WINDOW_FRAMES - 2 * 64
    assert slice(64, CONTEXT_WINDOW_FRAMES - 64) == second.keep
    assert np.array_equal(
        padded[first_frame * HOP : first_frame * HOP + second.samples().shape[1]].T, second.samples()
    )


@pytest.mark.parametrize(("samples", "expected"), [(100, [True]), (SEGMENT, [False, False])])
def test_a_short_stream_is_alone(samples: int, expected: list[bool]) -> None:
    """The window of a stream that needs no other says so, and those of longer ones do not."""
    assert expected == [window.only for window in split([noise(samples)])]


def test_no_samples_is_an_error() -> None:
    """A stream without samples is refused instead of giving empty stems."""
    with pytest.raises(EmptyAudio):
        list(split([noise(0), noise(0)]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_an_error(bad: float) -> None:
    """One sample that is no finite number ends the stream with its own error."""
    signal = noise(SEGMENT)
    signal[-1, 1] = bad
    with pytest.raises(NonFiniteAudio):
        list(split([signal]))


@pytest.mark.parametrize("context", [-1, 512, 10_000])
def test_a_context_that_keeps_nothing_is_an_error(context: int) -> None:
    """A context as large as the window is refused."""
    with pytest.raises(OptionError):
        list(split([noise(10)], context=context))
