"""The small networks of the golden tests: what they are asked, and the cards that describe them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.support.networks import HEAD

#: Lengths of the mixes, in samples: one sample, less than a segment, a segment, one more, several.
LENGTHS = (1, 2, 5_000, 8_268, 8_269, 11_025, 11_026, 30_000)
#: Samples of a segment of the small htdemucs, a quarter of a second.
SEGMENT = 11_025
#: The transform of the small MDX-Net and Open-Unmix.
N_FFT, HOP, BINS, FRAMES = 1_024, 256, 384, 32
#: Hidden low bins and compensation of the small MDX-Net.
ZEROED, COMPENSATION = 3, 1.035
#: Weights of the two networks of the bag, by stem.
BAG = ((1.0, 0.0, 2.0, 1.0), (0.0, 1.0, 1.0, 3.0))
#: The transform of the small RoFormers.
ROFORMER_N_FFT, ROFORMER_HOP, ROFORMER_FRAMES = 128, 32, 41
#: Lengths of the tracks that the loop around them is asked for, in samples; a segment has 1,280.
ROFORMER_LENGTHS = (1_280, 1_281, 1_919, 1_920, 1_921, 12_345)
#: Segments of that loop that see each sample.
ROFORMER_OVERLAPS = (2, 4)
STEMS = ("drums", "bass", "other", "vocals")


def mix(length: int) -> NDArray[np.float32]:
    """Return (length, 2) samples, louder towards their end and not centred, so that normalisation matters."""
    samples = np.random.default_rng(length).standard_normal((length, 2), dtype=np.float32)
    rising = np.linspace(0.05, 0.3, length, dtype=np.float32)[:, np.newaxis]
    return samples * rising + np.float32(0.02)


def kept(stems: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples (…, n) of stems (…, length) that are recorded: every 41st, and both ends."""
    return np.concatenate([stems[..., ::41], stems[..., :64], stems[..., -64:]], axis=-1).astype(np.float32)


def waveform_card(name: str, normalisation: str = "none") -> str:
    """Return the card of a small htdemucs."""
    return (
        f'name = "{name}"\nkind = "waveform"\nstems = {list(STEMS)}\n{HEAD}'
        f'normalisation = "{normalisation}"\n'
        f"[segment]\nsamples = {SEGMENT}\n"
    )


def spectrum_card(name: str, kind: str, stems: list[str], more: str = "") -> str:
    """Return the card of a small MDX-Net or Open-Unmix."""
    return (
        f'name = "{name}"\nkind = "{kind}"\nstems = {stems}\n{HEAD}'
        f"[spectrum]\nn_fft = {N_FFT}\nhop = {HOP}\nbins = {BINS}\nframes = {FRAMES}\n{more}"
    )


def roformer_card(name: str, overlap: int = 2) -> str:
    """Return the card of a small RoFormer, of whose segments so many see each sample."""
    return (
        f'name = "{name}"\nkind = "complex-spectrogram"\nstems = ["vocals", "other"]\n{HEAD}'
        f"[spectrum]\nn_fft = {ROFORMER_N_FFT}\nhop = {ROFORMER_HOP}\nbins = {ROFORMER_N_FFT // 2 + 1}\n"
        f"frames = {ROFORMER_FRAMES}\n"
        f'[segment]\nwindow = "hamming"\noverlap = {1 - 1 / overlap}\n'
    )


def roformer_waves_card(name: str, overlap: int) -> str:
    """Return the card of a small RoFormer whose graph has its transforms."""
    return (
        f'name = "{name}"\nkind = "waveform"\nstems = ["vocals", "other"]\n{HEAD}'
        f"[segment]\nsamples = {ROFORMER_HOP * (ROFORMER_FRAMES - 1)}\n"
        f'window = "hamming"\noverlap = {1 - 1 / overlap}\n'
    )


def bag_card(first: str, second: str) -> str:
    """Return the card of a bag of two."""
    members = "".join(
        f'[[members]]\nmodel = "{model}"\n[members.weights]\n'
        + "".join(f"{stem} = {weight}\n" for stem, weight in zip(STEMS, weights, strict=True))
        for model, weights in zip((first, second), BAG, strict=True)
    )
    return f'name = "bag"\nkind = "ensemble"\nstems = {list(STEMS)}\n{HEAD}{members}'
