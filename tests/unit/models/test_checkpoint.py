from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from stemline.models.checkpoint import read_index, read_tensors
from stemline.separation.errors import WeightsCorrupt
from tests.golden.seeded import shapes

DATA = Path(__file__).parents[2] / "golden" / "data"


def described(tensors) -> dict[str, list[object]]:
    return {
        name: [value.dtype.str, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        for name, value in sorted(tensors.items())
    }


def test_a_bundle_of_tensorflows_reads_as_tensorflow_reads_it(golden) -> None:
    """Every name, type, shape and byte of a bundle written by TensorFlow equals what its own reader says."""
    assert golden("small_bundle.json") == described(read_tensors(DATA / "small_bundle"))


def test_real_weights_read_as_tensorflow_reads_them(golden, weights_2stems: Path) -> None:
    """The same holds for the real 2-stem weights."""
    assert golden("2stems_tensors.json") == described(read_tensors(weights_2stems))


def test_seeded_weights_have_the_shapes_of_the_real_ones(weights_2stems: Path) -> None:
    """The seeded weights have the names and shapes of the real ones."""
    actual = {name: entry.shape for name, entry in read_index(weights_2stems / "model.index").items()}
    del actual["global_step"]
    assert shapes(2) == actual


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return shutil.copytree(DATA / "small_bundle", tmp_path / "bundle")


def test_every_flipped_bit_of_an_index_is_noticed(bundle: Path) -> None:
    """Wherever one bit of an index is wrong, reading fails or, in the padding, gives the same entries."""
    index = bundle / "model.index"
    whole = index.read_bytes()
    expected = read_index(index)
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        index.write_bytes(damaged)
        try:
            assert expected == read_index(index)
        except WeightsCorrupt:
            noticed += 1
    assert noticed > 270  # the footer's padding may hold anything


@pytest.mark.parametrize("length", [0, 10, 48, 2000])
def test_a_truncated_index_is_noticed(bundle: Path, length: int) -> None:
    """An index that ends early is refused."""
    index = bundle / "model.index"
    index.write_bytes(index.read_bytes()[:length])
    with pytest.raises(WeightsCorrupt):
        read_index(index)


def test_a_truncated_data_file_is_noticed(bundle: Path) -> None:
    """A tensor that lies behind the end of the data file is refused."""
    data = bundle / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-5])
    with pytest.raises(WeightsCorrupt):
        read_tensors(bundle)
