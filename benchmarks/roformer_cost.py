"""What RoFormers of the published sizes cost: operations, counted from their graphs.

    .venv-networks/bin/python -m benchmarks.roformer_cost FOLDER    # writes networks of one and of two layers
    python -m benchmarks.roformer_cost --count FOLDER               # counts what they do

All layers are alike, so what one costs is the difference of both, and a network of many is counted without
being run. The first environment is that of `make parity-networks`; the weights are random.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import numpy as np

_EXPORTER: Final = Path("models/exporters/roformer.py")
_HOP: Final = 441
_RATE: Final = 44_100
_COMMON: Final[Mapping[str, Any]] = {
    "stereo": True,
    "num_stems": 1,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 64,
    "heads": 8,
    "mask_estimator_depth": 2,
    "stft_n_fft": 2048,
    "stft_hop_length": _HOP,
    "stft_win_length": 2048,
}
#: Their own fields, how many layers they have, and the samples of a segment.
SIZES: Final[Mapping[str, tuple[Mapping[str, Any], int, int]]] = {
    "bs-roformer": (
        {"dim": 512, "freqs_per_bands": [2] * 24 + [4] * 12 + [12] * 8 + [24] * 8 + [48] * 8 + [128, 129]},
        12,
        352_800,
    ),
    "mel-roformer": ({"dim": 384, "num_bands": 60, "sample_rate": _RATE}, 6, 352_800),
}


def write(folder: Path) -> None:
    """Write each with one and with two layers."""
    import torch  # noqa: PLC0415  # in the environment of the networks alone

    from tests.golden.record_roformers import stand_in_for_librosa  # noqa: PLC0415

    stand_in_for_librosa(mel_bands)
    found = spec_from_file_location("roformer", _EXPORTER)
    assert found is not None
    assert found.loader is not None
    exporter = module_from_spec(found)
    found.loader.exec_module(exporter)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (fields, _, samples) in SIZES.items():
        for layers in (1, 2):
            config = {"model": {**_COMMON, **fields, "depth": layers}}
            model = exporter.create(config).eval()
            bins, frames = 2048 // 2 + 1, samples // _HOP + 1
            with torch.no_grad():
                torch.onnx.export(
                    exporter.Spectra(model).eval(),
                    (torch.zeros(1, 4, bins, frames),),
                    str(folder / f"{name}-{layers}.onnx"),
                    input_names=["mix"],
                    output_names=["stems"],
                    opset_version=17,
                    dynamo=False,
                )


def mel_bands(*, sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return the triangles (n_mels, bins) of Slaney's mel scale."""
    knee, above = 1_000.0, np.log(6.4) / 27
    top = knee * 3 / 200 + np.log(sr / 2 / knee) / above
    mels = np.linspace(0, top, n_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, knee * np.exp(above * (mels - 15)))
    bins = np.linspace(0, sr / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def count(folder: Path) -> None:
    """Print what each costs: operations of a segment, and for a second of audio if half of it is new."""
    from stemline.models.cost import operations_of  # noqa: PLC0415  # not in the networks' environment

    for name, (_, layers, samples) in SIZES.items():
        shape = (1, 4, 2048 // 2 + 1, samples // _HOP + 1)
        one, two = (operations_of(folder / f"{name}-{each}.onnx", shape) for each in (1, 2))
        whole = one + (layers - 1) * (two - one)
        per_second = whole / (samples / 2 / _RATE)
        sys.stdout.write(f"{name}: {whole / 1e9:.0f} GFLOP a segment, {per_second / 1e9:.0f} a second\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", action="store_true")
    asked = parser.parse_args()
    (count if asked.count else write)(asked.folder)
