"""Writes the network of a Hybrid Transformer Demucs checkpoint as ONNX: samples in, stems out.

Run by `stemline models export demucs`, with a Python that has torch, demucs and onnx:

    python hybrid_demucs.py CHECKPOINT FILE [--trust]

Prints a line of JSON: the stems, the samples of a segment, the largest difference of the graph to the model.

Exporters of torch know no complex numbers, and ONNX Runtime computes no transform on CUDA. So the transforms
are written as real matrix products here: a Fourier transform of n = a * b points is, by Cooley and Tukey, b
transforms of a points, factors, and a transforms of b points.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from safetensors import SafetensorError, safe_open
from torch.nn import functional

#: ONNX's set of operators.
_OPSET = 17
#: Most that the graph may differ from the model where it is exported, of a mix with deviation 1.
_MAX_DIFFERENCE = 1e-4


def main() -> None:
    """Read a checkpoint, write the graph, compare both on noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--trust", action="store_true", help="let the checkpoint run code of its own")
    options = parser.parse_args()
    try:
        model = load(options.checkpoint, trust=options.trust)
        difference = export(model, options.file)
    except ValueError as error:
        sys.exit(str(error))
    stems, samples = list(model.sources), segment_samples(model)
    sys.stdout.write(json.dumps({"stems": stems, "samples": samples, "difference": difference}) + "\n")


def load(path: Path, *, trust: bool) -> HTDemucs:
    """Return the model of a checkpoint as Demucs writes it: class, arguments, state.

    Raises:
        ValueError: It holds something else, or objects that are not weights and `trust` is false.
    """
    package = _safe_package(path) if path.suffix == ".safetensors" else _pickled_package(path, trust=trust)
    if not isinstance(package, dict) or package.get("klass") != HTDemucs:
        raise ValueError(f"{path} is no checkpoint of Hybrid Transformer Demucs (htdemucs).")
    model = HTDemucs(*package["args"], **package["kwargs"])
    model.load_state_dict({name: value.float() for name, value in package["state"].items()})
    is_usual = model.cac and model.use_train_segment
    if not is_usual or model.audio_channels != 2 or model.samplerate != 44_100:
        raise ValueError(f"{path} is a variant of htdemucs that cannot be exported.")
    return model.eval()


def _pickled_package(path: Path, *, trust: bool) -> Any:
    known = [HTDemucs, Fraction]
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(path, "cpu", weights_only=not trust)  # code runs with --trust alone # nosec B614
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is no checkpoint of weights alone; --trust lets it run code of its own: {reason}"
        ) from error


def _safe_package(path: Path) -> Any:
    """Read what `demucs.hf` reads, without importing a class that the file names."""
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        if about.get("klass") != f"{HTDemucs.__module__}.{HTDemucs.__name__}" or "structure" in about:
            return None
        return {
            "klass": HTDemucs,
            "args": _decoded(json.loads(about["args"])),
            "kwargs": _decoded(json.loads(about["kwargs"])),
            "state": state,
        }
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path} is no checkpoint of Demucs: {error}") from error


def _decoded(value: Any) -> Any:
    """Return a value with Demucs' fractions, which it writes as objects."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return {key: _decoded(item) for key, item in value.items()}


def segment_samples(model: HTDemucs) -> int:
    """Return the samples that the network sees at a time."""
    return int(model.segment * model.samplerate)


def export(model: HTDemucs, file: Path) -> float:
    """Write the graph of a model.

    Returns:
        The largest difference of the graph, on torch, to the model on noise.

    Raises:
        ValueError: It differs too much.
    """
    torch.backends.mha.set_fastpath_enabled(value=False)  # the exporter does not know it
    mix = torch.randn(1, 2, segment_samples(model), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(mix)
        # Both have the same fields; only the methods differ.
        model.__class__ = RealHTDemucs
        difference = float((model(mix) - expected).abs().max() / max(1.0, float(expected.abs().max())))
        if not difference <= _MAX_DIFFERENCE:
            raise ValueError(f"the exported network differs from the model by {difference:.1e}")
        torch.onnx.export(
            model,
            (mix,),
            str(file),
            input_names=["mix"],
            output_names=["stems"],
            opset_version=_OPSET,
            dynamo=False,
        )
    return difference


class RealHTDemucs(HTDemucs):  # type: ignore[misc]  # torch is not installed where this is checked
    """The same model, whose transforms and what reads them know no complex numbers."""

    def _spec(self, x: torch.Tensor) -> torch.Tensor:
        hop = self.hop_length
        frames = math.ceil(x.shape[-1] / hop)
        edge = hop // 2 * 3
        padded = functional.pad(x, (edge, edge + frames * hop - x.shape[-1]), mode="reflect")
        # demucs.spec pads by half a frame on both sides as well, and drops two frames on both.
        return RealTransform(self.nfft).forward(padded, frames)

    def _magnitude(self, z: torch.Tensor) -> torch.Tensor:
        batch, channels, _parts, bins, frames = z.shape
        return z.reshape(batch, 2 * channels, bins, frames)

    def _mask(self, z: torch.Tensor, m: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # the stems are all there is
        batch, sources, _channels, bins, frames = m.shape
        return m.reshape(batch, sources, self.audio_channels, 2, bins, frames)

    def _ispec(self, z: torch.Tensor, length: int) -> torch.Tensor:
        return RealTransform(self.nfft).inverse(z, length)


class RealTransform:
    """The transform of Demucs: frames of n samples every n / 4 under a periodic Hann window, divided by √n.

    The highest bin is dropped, and zero on the way back.

    Args:
        size: n, a power of two.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.hop = size // 4
        self._rows = 1 << (size.bit_length() - 1) // 2
        self._columns = size // self._rows
        self._window = torch.hann_window(size, periodic=True, dtype=torch.float64)

    def forward(self, samples: torch.Tensor, frames: int) -> torch.Tensor:
        """Return (batch, channels, 2, n / 2, frames) of (batch, channels, hop * (frames + 3)) samples."""
        hop = self.hop
        blocks = samples.reshape(*samples.shape[:-1], -1, hop)
        parts = [blocks[..., number : number + frames, :] for number in range(4)]
        framed = torch.cat(parts, -1) * (self._window / math.sqrt(self.size)).float()
        real, imaginary = self._transformed(framed, None, sign=-1.0)
        half = self.size // 2
        return torch.stack([real[..., :half], imaginary[..., :half]], 2).transpose(-1, -2)

    def inverse(self, spectrum: torch.Tensor, length: int) -> torch.Tensor:
        """Return (…, length) samples of (…, 2, n / 2, frames)."""
        hop, size = self.hop, self.size
        spectrum = spectrum.transpose(-1, -2)
        frames = spectrum.shape[-2]
        # The bins above the middle mirror those below: each but the lowest counts twice.
        weights = torch.full((size // 2,), 2.0)
        weights[0] = 1.0
        upper = (0, size // 2)
        real = functional.pad(spectrum[..., 0, :, :] * weights, upper)
        imaginary = functional.pad(spectrum[..., 1, :, :] * weights, upper)
        pieces, _ = self._transformed(real, imaginary, sign=1.0)
        pieces = pieces * (self._window / math.sqrt(size)).float()
        blocks = pieces.reshape(*pieces.shape[:-1], 4, hop)
        added = sum(functional.pad(blocks[..., number, :], (0, 0, number, 3 - number)) for number in range(4))
        # demucs.spec adds two empty frames on both sides, whose windows count in the division.
        total = torch.zeros(frames + 4 + 3, hop, dtype=torch.float64)
        squares = self._window.square().reshape(4, hop)
        for number in range(4):
            total[number : number + frames + 4] += squares[number]
        samples = (added / total[2 : 2 + frames + 3].float()).flatten(-2)
        edge = hop // 2 * 3
        return samples[..., edge : edge + length]

    def _transformed(
        self, real: torch.Tensor, imaginary: torch.Tensor | None, *, sign: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the real and imaginary part of the transform over the last axis."""
        rows, columns, size = self._rows, self._columns, self.size
        first = _roots(rows, rows, rows, sign)
        factors = _roots(rows, columns, size, sign)
        second = _roots(columns, columns, columns, sign)
        shape = (*real.shape[:-1], rows, columns)
        a = real.reshape(shape)
        if imaginary is None:
            x, y = first[0] @ a, first[1] @ a
        else:
            b = imaginary.reshape(shape)
            x, y = first[0] @ a - first[1] @ b, first[1] @ a + first[0] @ b
        x, y = x * factors[0] - y * factors[1], x * factors[1] + y * factors[0]
        x, y = x @ second[0] - y @ second[1], x @ second[1] + y @ second[0]
        flat = (*real.shape[:-1], size)
        return x.transpose(-1, -2).reshape(flat), y.transpose(-1, -2).reshape(flat)


def _roots(rows: int, columns: int, size: int, sign: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cos and sin of 2π i j / size for all i < rows and j < columns."""
    numbers = torch.arange(rows)[:, None] * torch.arange(columns)[None] % size
    angles = numbers.double() * (sign * 2 * math.pi / size)
    return angles.cos().float(), angles.sin().float()


if __name__ == "__main__":
    main()
