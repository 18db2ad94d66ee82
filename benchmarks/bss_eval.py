"""BSS Eval, version 4: how well the parts of a mix were found, as ratios of energies.

The measures of Vincent, Gribonval and Févotte (2006) in their form for images (Vincent et al., 2012), with
the change of version 4 (Stöter, Liutkus and Ito, 2018): the distortion filters are those of the whole
signal. An estimate is split into the part itself, what a filter of `TAPS` taps makes of the part beyond it
(spatial distortion), what such filters make of all parts beyond that (interference), and the rest
(artefacts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Taps of the distortion filters: 12 ms at 44.1 kHz.
TAPS = 512
#: Added to the correlations of the parts, as a share of their mean energy: parts with equal channels, or
#: without some band, do not determine their filters.
_RIDGE = 1e-10

Signal = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Ratios:
    """Ratios in decibels of one estimate.

    Attributes:
        sdr: The part to everything else (signal to distortion).
        isr: The part to its spatial distortion (image to spatial distortion).
        sir: What filters make of the part to the interference (signal to interference).
        sar: What filters make of all parts to the artefacts (signal to artefacts).
    """

    sdr: float
    isr: float
    sir: float
    sar: float


@dataclass(frozen=True, slots=True)
class _Fit:
    """The filters (columns, taps, channels) that bring columns nearest to an estimate, and their energy."""

    filters: Signal
    energy: float


class BssEval:
    """The parts of one mix.

    Args:
        parts: (parts, samples, channels).
        taps: Length of the distortion filters, samples.
    """

    def __init__(self, parts: Signal, taps: int = TAPS) -> None:
        self._parts = parts
        self._taps = taps
        self._columns = np.concatenate([*parts], axis=1)
        self._spectra = _spectra(self._columns, len(self._columns) + taps - 1)
        self._inverse = cache(self._inverted)
        self._window_spectra = cache(self._spectra_of_windows)

    def ratios(self, estimate: Signal, number: int) -> Ratios:
        """Compare an estimate (samples, channels) with the part `number`, over the whole of both.

        What filters make of the parts is a projection, so energies of differences are differences of
        energies.
        """
        own, every = self._fits(estimate, number)
        part = self._parts[number]
        whole, truth = _energy(estimate), _energy(part)
        common = float((estimate * part).sum())
        return Ratios(
            sdr=_decibels(truth, whole - 2 * common + truth),
            isr=_decibels(truth, own.energy - 2 * common + truth),
            sir=_decibels(own.energy, every.energy - own.energy),
            sar=_decibels(every.energy, whole - every.energy),
        )

    def windows(self, estimate: Signal, number: int, window: int) -> Iterator[Ratios]:
        """Compare windows of so many samples; the filters are those of the whole.

        What is left at the end is not compared. The ends of the filters beyond a window belong to it.
        """
        length = window + self._taps - 1
        own, every = (_spectra(fit.filters, length, axis=1) for fit in self._fits(estimate, number))
        channels = self._parts.shape[2]
        mine = slice(number * channels, (number + 1) * channels)
        for place, columns in self._window_spectra(window):
            filtered = _filtered(columns[:, mine], own, length)
            explained = _filtered(columns, every, length)
            part, found = (
                np.pad(signal[place], ((0, self._taps - 1), (0, 0)))
                for signal in (self._parts[number], estimate)
            )
            yield Ratios(
                sdr=_decibels(_energy(part), _energy(found - part)),
                isr=_decibels(_energy(part), _energy(filtered - part)),
                sir=_decibels(_energy(filtered), _energy(explained - filtered)),
                sar=_decibels(_energy(explained), _energy(found - explained)),
            )

    def _fits(self, estimate: Signal, number: int) -> tuple[_Fit, _Fit]:
        """Return the fits of the part alone and of all parts."""
        size = 2 * (len(self._spectra) - 1)
        spectrum = np.fft.rfft(estimate, size, axis=0)
        columns, channels = self._spectra.shape[1], estimate.shape[1]
        found = np.empty((columns, self._taps, channels))
        for column in range(columns):
            product = self._spectra[:, column, None].conj() * spectrum
            found[column] = np.fft.irfft(product, size, axis=0)[: self._taps]
        mine = range(number * channels, (number + 1) * channels)
        return self._fit(found, tuple(mine)), self._fit(found, tuple(range(columns)))

    def _fit(self, correlations: Signal, columns: tuple[int, ...]) -> _Fit:
        right = correlations[list(columns)].reshape(len(columns) * self._taps, -1)
        solved = self._inverse(columns) @ right
        return _Fit(solved.reshape(len(columns), self._taps, -1), float((solved * right).sum()))

    def _inverted(self, columns: tuple[int, ...]) -> Signal:
        """Return the inverse of the correlations of the columns, each with `taps` delays."""
        size = 2 * (len(self._spectra) - 1)
        delays = np.arange(self._taps)
        lags = delays[:, None] - delays  # negative ones count from the end, as in the transform
        blocks = [
            [
                np.fft.irfft(self._spectra[:, one].conj() * self._spectra[:, other], size)[lags]
                for other in columns
            ]
            for one in columns
        ]
        matrix = np.block(blocks)
        ridge = _RIDGE * float(np.trace(matrix)) / len(matrix)
        return np.asarray(np.linalg.inv(matrix + ridge * np.eye(len(matrix))))

    def _spectra_of_windows(self, window: int) -> list[tuple[slice, Spectrum]]:
        starts = range(0, len(self._columns) - window + 1, window)
        places = [slice(start, start + window) for start in starts]
        return [(place, _spectra(self._columns[place], window + self._taps - 1)) for place in places]


def _spectra(signals: Signal, length: int, axis: int = 0) -> Spectrum:
    """Return the transform for convolutions of that length: of the next power of two."""
    return np.asarray(np.fft.rfft(signals, 1 << (length - 1).bit_length(), axis=axis))


def _filtered(columns: Spectrum, filters: Spectrum, length: int) -> Signal:
    """Return the sum of all columns, each through its filter, for every channel, (length, channels)."""
    products = np.matmul(columns[:, None, :], filters.transpose(1, 0, 2))[:, 0]
    return np.asarray(np.fft.irfft(products, axis=0)[:length])


def _energy(signal: Signal) -> float:
    return float(np.square(signal).sum())


def _decibels(one: float, other: float) -> float:
    """Return a ratio of energies; infinity above nothing, and NaN for nothing above nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * np.log10(np.float64(one) / max(other, 0.0)))
