"""The operations of a network, against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from stemline.cli.main import main
from stemline.models import installation
from stemline.models.cost import operations_of
from stemline.models.weights import WeightStore
from stemline.separation.errors import WeightsCorrupt
from tests.golden import networks
from tests.support.networks import write

DATA = Path(networks.__file__).parent / "data/networks"


def weights(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


CASES: dict[str, tuple[list[Any], list[Any], tuple[int, ...], int]] = {
    "convolution in two groups": (
        [helper.make_node("Conv", ["mix", "w"], ["stems"], group=2, strides=[2])],
        [weights("w", 6, 2, 5)],
        (4, 21),
        2 * (6 * 9) * (2 * 5),
    ),
    "transposed convolution": (
        [helper.make_node("ConvTranspose", ["mix", "w"], ["stems"], strides=[2])],
        [weights("w", 4, 3, 5)],
        (4, 20),
        2 * (4 * 20) * (3 * 5),
    ),
    "product": (
        [helper.make_node("MatMul", ["mix", "w"], ["stems"])],
        [weights("w", 7, 3)],
        (5, 7),
        2 * (5 * 3) * 7,
    ),
    "transposed product": (
        [
            helper.make_node("Flatten", ["mix"], ["flat"], axis=0),
            helper.make_node("Gemm", ["w", "flat"], ["stems"], transA=1, transB=1),
        ],
        [weights("w", 35, 3)],
        (5, 7),
        2 * (3 * 1) * 35,
    ),
    "recurrent layer of two directions": (
        [
            helper.make_node("Transpose", ["mix"], ["steps"], perm=[1, 0, 2]),
            helper.make_node(
                "LSTM", ["steps", "w", "r"], ["", "stems"], hidden_size=3, direction="bidirectional"
            ),
        ],
        [weights("w", 2, 12, 7), weights("r", 2, 12, 3)],
        (5, 7),
        2 * 5 * 2 * 12 * (7 + 3),
    ),
    "what is not counted": ([helper.make_node("Tanh", ["mix"], ["stems"])], [], (5, 7), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_operations_are_counted(tmp_path: Path, case: str) -> None:
    """Each operator counts two operations for every multiplication, whether or not the file states shapes."""
    nodes, constants, takes, expected = CASES[case]
    file = write(tmp_path / "net.onnx", nodes, constants, takes, None, "n")
    assert operations_of(file, (1, *takes)) == expected


def test_what_is_no_network_is_an_error(tmp_path: Path) -> None:
    """A file of text, and a network of another shape, are reported."""
    (tmp_path / "net.onnx").write_bytes(b"text")
    with pytest.raises(WeightsCorrupt):
        operations_of(tmp_path / "net.onnx", (1, 5, 7))
    with pytest.raises(WeightsCorrupt):
        operations_of(DATA / "mdx.onnx", (1, 2, 3, 4))


def test_costs_of_models_are_printed(tmp_path: Path) -> None:
    """A network costs its operations for each step of its segments; an ensemble what its members do."""
    store = WeightStore(tmp_path / "models")
    text = tmp_path / "card.toml"
    text.write_text(networks.spectrum_card("mdx", "complex-spectrogram", ["vocals"]))
    installation.add(store, text, DATA / "mdx.onnx")
    text.write_text(
        'name = "twice"\nkind = "ensemble"\nstems = ["vocals"]\nlicence = "MIT"\nsource = "here"\n'
        + '[[members]]\nmodel = "mdx"\n' * 2
        + '[[members]]\nmodel = "mdx"\nweights = {}\n'
    )
    installation.add(store, text, None)
    arguments = ["models", "cost", "mdx", "twice", "--json", "--directory", str(tmp_path / "models")]
    lines = CliRunner().invoke(main, arguments).output.splitlines()
    mdx, twice = (json.loads(line) for line in lines)
    step = networks.HOP * (networks.FRAMES - 1) - networks.N_FFT
    assert (mdx["operations"], mdx["segment_s"]) == (10_616_832, pytest.approx(step / 44_100))
    assert twice["operations"] == pytest.approx(2 * 10_616_832 / (step / 44_100), rel=1e-6)
