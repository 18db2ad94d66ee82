"""Writes networks of random weights, at the sizes that are published, for `benchmarks.networks`.

    .venv-networks/bin/python -m benchmarks.full_size FOLDER

The environment is that of `make parity-networks`. The real weights cannot be had here; memory and time do not
depend on them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from unittest.mock import MagicMock

import torch
from torch import nn

_EXPORTER: Final = Path("models/exporters/hybrid_demucs.py")
_CARD: Final = """\
name = "{name}"
kind = "{kind}"
stems = {stems}
licence = "random weights"
source = "benchmarks/full_size.py"
{rest}"""
#: Of KUIELab's MDX-Net as UVR's largest networks use it: bins and frames of the input, and its growth.
BINS: Final = 3_072
FRAMES: Final = 256
GROWTH: Final = 48
LEVELS: Final = 5
LAYERS: Final = 3
BOTTLENECK: Final = 8


def block(channels: int, bins: int) -> Any:
    """Return a TFC-TDF block: three convolutions, then two products along the frequencies that are added."""

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            layer = (nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
            self.convolutions = nn.Sequential(*(each for _ in range(LAYERS) for each in layer))
            small = bins // BOTTLENECK
            self.products = nn.Sequential(
                *(nn.Linear(bins, small), nn.BatchNorm2d(channels), nn.ReLU()),
                *(nn.Linear(small, bins), nn.BatchNorm2d(channels), nn.ReLU()),
            )

        def forward(self, mix: Any) -> Any:
            found = self.convolutions(mix)
            return found + self.products(found)

    return Block()


class ConvTdf(nn.Module):  # type: ignore[misc]
    """The network of KUIELab-MDX-Net (Kim et al., 2021): a U-Net of TFC-TDF blocks."""

    def __init__(self) -> None:
        super().__init__()
        channels, bins = GROWTH, BINS
        self.first = nn.Sequential(nn.Conv2d(4, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        self.down, self.smaller = nn.ModuleList(), nn.ModuleList()
        for _ in range(LEVELS):
            self.down.append(block(channels, bins))
            self.smaller.append(nn.Conv2d(channels, channels + GROWTH, 2, stride=2))
            channels, bins = channels + GROWTH, bins // 2
        self.middle = block(channels, bins)
        self.larger, self.up = nn.ModuleList(), nn.ModuleList()
        for _ in range(LEVELS):
            self.larger.append(nn.ConvTranspose2d(channels, channels - GROWTH, 2, stride=2))
            channels, bins = channels - GROWTH, bins * 2
            self.up.append(block(channels, bins))
        self.last = nn.Conv2d(channels, 4, 1)

    def forward(self, spectrum: Any) -> Any:
        """Return the spectrum of the stem: (n, 4, bins, frames), as it is taken."""
        found, skipped = self.first(spectrum.transpose(-1, -2)), []
        for each, smaller in zip(self.down, self.smaller, strict=True):
            skipped.append(each(found))
            found = smaller(skipped[-1])
        found = self.middle(found)
        for larger, each in zip(self.larger, self.up, strict=True):
            found = each(larger(found) * skipped.pop())
        return self.last(found).transpose(-1, -2)


def write_mdx(path: Path) -> None:
    """Write an MDX-Net."""
    torch.manual_seed(0)
    network = ConvTdf().eval()
    torch.onnx.export(
        network,
        (torch.zeros(1, 4, BINS, FRAMES),),
        str(path),
        input_names=["mix"],
        output_names=["stem"],
        dynamo=False,
    )


def write_demucs(folder: Path) -> None:
    """Write an htdemucs with the arguments that its authors published."""
    from demucs.htdemucs import HTDemucs  # noqa: PLC0415  # slow to import

    torch.manual_seed(0)
    arguments = {
        "sources": ["drums", "bass", "other", "vocals"],
        "channels": 48,
        "bottom_channels": 512,
        "t_layers": 5,
        "dconv_mode": 3,
        "segment": 7.8,
    }
    checkpoint = folder / "htdemucs.th"
    state = {"klass": HTDemucs, "args": (), "kwargs": arguments, "state": HTDemucs(**arguments).state_dict()}
    torch.save(state, checkpoint)
    subprocess.run(
        [sys.executable, str(_EXPORTER), str(checkpoint), str(folder / "htdemucs.onnx")], check=True
    )
    checkpoint.unlink()


def write_cards(folder: Path) -> None:
    """Write the cards of both."""
    rest = f"[spectrum]\nn_fft = 7680\nhop = 1024\nbins = {BINS}\nframes = {FRAMES}\n"
    text = _CARD.format(name="mdx", kind="complex-spectrogram", stems='["vocals"]', rest=rest)
    (folder / "mdx.toml").write_text(text)
    rest = 'normalisation = "track"\n[segment]\nsamples = 343980\n'
    stems = '["drums", "bass", "other", "vocals"]'
    (folder / "htdemucs.toml").write_text(
        _CARD.format(name="htdemucs", kind="waveform", stems=stems, rest=rest)
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in ("librosa", "torchaudio"):
        sys.modules.setdefault(name, MagicMock())
    write_mdx(target / "mdx.onnx")
    write_demucs(target)
    write_cards(target)
