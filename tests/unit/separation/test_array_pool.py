from __future__ import annotations

import numpy as np

from stemline.separation.array_pool import ArrayPool


def ones(value: float) -> np.ndarray:
    return np.full((2, 3), value, np.float32)


def test_an_array_is_used_again_when_nobody_holds_it() -> None:
    """While it, or a view of a view of it, is held, its values stay."""
    pool = ArrayPool((2, 3), most=4)
    first = pool.copy(ones(1))
    address = first.ctypes.data
    part = first.T[1:][:, :1]
    del first
    second = pool.copy(ones(2))
    assert second.ctypes.data != address
    assert part.tolist() == [[1], [1]]
    del part
    third = pool.copy(ones(3))
    assert third.ctypes.data == address
    assert (second.tolist(), third.tolist()) == (ones(2).tolist(), ones(3).tolist())


def test_no_more_than_the_most_are_kept() -> None:
    """Further arrays are right too, and are not kept."""
    pool = ArrayPool((2, 3), most=1)
    held = [pool.copy(ones(number)) for number in range(3)]
    assert [array[0, 0] for array in held] == [0, 1, 2]
    assert len(pool._arrays) == 1
