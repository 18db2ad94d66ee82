"""A multichannel Wiener filter behind the networks, which also uses where a sound comes from.

The networks look at each channel's magnitudes alone. With their masks as first estimate, this is one step of
expectation and maximisation (Duong, Vincent and Gribonval, "Under-determined reverberant audio source
separation using a full-rank spatial covariance model", 2010): an instrument j has in each bin the power
p_j = mask_j · |mix|², and in each frequency one 2-by-2 covariance R_j of the channels, estimated over the
segment; its part of the mix x is p_j R_j (Σ p_k R_k)⁻¹ x. Where all R_j are equal, that is mask_j · x again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemline.separation.extension import Extension
from stemline.separation.network import CHANNELS, NETWORK_BINS

#: By how much a covariance is moved towards that of a sound from everywhere: few frames say little.
_SHRINKAGE: Final = 0.1
#: Neighbouring bins over which a covariance is averaged (700 Hz).
_POOLED_BINS: Final = 65
#: Frames filtered at a time, few enough for the CPU's cache.
_BLOCK: Final = 16
#: Keeps silence from being divided by zero.
_TINY: Final = 1e-30

Spectrum = NDArray[np.complex64]  # (channels, frames, bins)
Mask = NDArray[np.float32]  # (channels, frames, 1,024)
_Real = NDArray[np.float32]


class _Covariances(NamedTuple):
    """Of each instrument and frequency, (instruments, 1, bins), trace 2: left, right, and left with right."""

    left: _Real
    right: _Real
    cross: NDArray[np.complex64]


def refine(
    spectrum: Spectrum, masks: Sequence[Mask], wanted: Sequence[int], extension: Extension
) -> list[Spectrum]:
    """Return the spectra (2, frames, 2,049) of some instruments.

    Args:
        spectrum: The mix, (2, frames, 2,049).
        masks: The share of every instrument, which add up to one.
        wanted: The numbers of the instruments to return.
        extension: What happens above the masks.
    """
    bins = NETWORK_BINS if extension is Extension.ZEROS else spectrum.shape[-1]
    parts = [slice(start, start + _BLOCK) for start in range(0, spectrum.shape[1], _BLOCK)]
    own = _covariances(spectrum[..., :bins], masks, extension, parts)
    refined = [np.zeros_like(spectrum) for _ in wanted]
    for part in parts:
        left, right = spectrum[:, part, :bins]
        shares = _shares(spectrum[:, part, :bins], masks, extension, part)
        mix = _Covariances(*((shares * each).sum(axis=0) for each in own))
        determinant = np.maximum(mix.left * mix.right - np.square(np.abs(mix.cross)), np.float32(_TINY))
        # The mix times the inverse of its covariance.
        white_left = (mix.right * left - mix.cross * right) / determinant
        white_right = (mix.left * right - np.conj(mix.cross) * left) / determinant
        for number, out in zip(wanted, refined, strict=True):
            share = shares[number]
            cross = own.cross[number]
            out[0, part, :bins] = share * (own.left[number] * white_left + cross * white_right)
            out[1, part, :bins] = share * (np.conj(cross) * white_left + own.right[number] * white_right)
    return refined


def _shares(block: Spectrum, masks: Sequence[Mask], extension: Extension, part: slice) -> _Real:
    """Return each instrument's share of the power, (instruments, frames, bins), over both channels."""
    power = _power(block)
    powers = np.stack([(_extended(mask[:, part], power, extension) * power).mean(axis=0) for mask in masks])
    shares: _Real = powers / np.maximum(powers.sum(axis=0), np.float32(_TINY))
    return shares


def _covariances(
    spectrum: Spectrum, masks: Sequence[Mask], extension: Extension, parts: Sequence[slice]
) -> _Covariances:
    """Return the covariances of the masked mix, pooled and moved towards equal, independent channels."""
    bins = spectrum.shape[-1]
    left, right = np.zeros((CHANNELS, len(masks), bins))
    cross = np.zeros((len(masks), bins), np.complex128)
    for part in parts:
        block = spectrum[:, part]
        power = _power(block)
        product = block[0] * np.conj(block[1])
        for number, mask in enumerate(masks):
            share = _extended(mask[:, part], power, extension)
            energies = (np.square(share) * power).sum(axis=1)
            left[number] += energies[0]
            right[number] += energies[1]
            cross[number] += (share[0] * share[1] * product).sum(axis=0)
    left, right, cross = _pooled(left), _pooled(right), _pooled(cross)
    scale = (1 - _SHRINKAGE) / np.maximum((left + right) / 2, _TINY)
    return _Covariances(
        (left * scale + _SHRINKAGE).astype(np.float32)[:, np.newaxis],
        (right * scale + _SHRINKAGE).astype(np.float32)[:, np.newaxis],
        (cross * scale).astype(np.complex64)[:, np.newaxis],
    )


def _power(block: Spectrum) -> _Real:
    return np.asarray(np.square(block.real) + np.square(block.imag))


def _extended(mask: Mask, like: _Real, extension: Extension) -> _Real:
    """Return a mask with as many bins as `like` has."""
    above = extension.share(mask)
    if above is None:
        return mask
    whole = np.empty_like(like)
    whole[..., :NETWORK_BINS] = mask
    whole[..., NETWORK_BINS:] = above
    return whole


def _pooled(rows: NDArray[Any]) -> NDArray[Any]:
    return np.stack([np.convolve(row, np.ones(_POOLED_BINS), "same") for row in rows])
