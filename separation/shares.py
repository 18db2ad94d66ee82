"""How stems compare with their mix: what each has of its energy, and which look like a network's fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from stemline.separation.array_pool import Scratch
from stemline.separation.measure import decibels
from stemline.separation.windows import Block

#: A stem with a peak so far above the mix's is doubtful, dB; parts that cancel each other stay below.
LOUD_DB: Final = 6.0
#: A stem with less of the mix's energy than this is silent, dB: rounding to 16 bits leaves more.
SILENT_DB: Final = -90.0
#: A mix with a smaller root mean square is silent itself, dBFS.
SILENT_MIX_DB: Final = -60.0
#: A stem that differs from the mix by less of its energy is the mix, dB.
SAME_DB: Final = -60.0


class Doubt(StrEnum):
    """What makes a stem look like a network's fault rather than a part of the mix."""

    LOUD = "loud"
    """Its peak is more than 6 dB above the mix's."""
    SILENT = "silent"
    """It is silent beside a mix that is not."""
    MIX = "mix"
    """It is the mix itself."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a stem has of its mix.

    Attributes:
        energy_db: Its energy over the mix's, dB; None where either is digital silence.
        doubt: What is doubtful about it; None for most stems.
    """

    energy_db: float | None = None
    doubt: Doubt | None = None


class ShareMeter:
    """Compares stems with their mix piece by piece.

    Args:
        stems: Their names.
        parts: Those that a network makes independently of each other, and that are meant to be the whole mix.
    """

    def __init__(self, stems: tuple[str, ...], parts: tuple[str, ...] = ()) -> None:
        self._mix = _Size()
        self._stems = {name: _Size() for name in stems}
        self._apart = dict.fromkeys(stems, 0.0)
        self._parts = parts if set(parts) <= set(stems) else ()
        self._left = 0.0
        self._scratch = Scratch()

    def feed(self, piece: Mapping[str, Block], mix: Block) -> None:
        """Take the next samples of every stem and of the mix, (samples, 2)."""
        self._mix.feed(mix)
        for name, samples in piece.items():
            self._stems[name].feed(samples)
            self._apart[name] += _energy(np.subtract(samples, mix, out=self._scratch.of(mix.shape)))
        if self._parts:
            self._left += _energy(mix - sum(piece[name] for name in self._parts))

    def shares(self) -> dict[str, Share]:
        """Return what each stem has of the mix."""
        return {
            name: Share(self._over_mix(size.energy), self._doubt(name)) for name, size in self._stems.items()
        }

    def residual_db(self) -> float | None:
        """Return the energy of the mix less the independent parts over the mix's, dB; None without such."""
        return self._over_mix(self._left) if self._parts else None

    def _over_mix(self, energy: float) -> float | None:
        if not energy or not self._mix.energy:
            return None
        return 10 * math.log10(energy / self._mix.energy)

    def _doubt(self, name: str) -> Doubt | None:
        mix, stem = self._mix, self._stems[name]
        if mix.root_mean_square <= 10 ** (SILENT_MIX_DB / 20):
            return None
        if decibels(stem.peak) > decibels(mix.peak) + LOUD_DB:
            return Doubt.LOUD
        if stem.energy < mix.energy * 10 ** (SILENT_DB / 10):
            return Doubt.SILENT
        if self._apart[name] < mix.energy * 10 ** (SAME_DB / 10):
            return Doubt.MIX
        return None


class _Size:
    """The energy and the largest sample of a stream."""

    def __init__(self) -> None:
        self.energy = 0.0
        self.peak = 0.0
        self._count = 0

    @property
    def root_mean_square(self) -> float:
        return math.sqrt(self.energy / max(self._count, 1))

    def feed(self, samples: Block) -> None:
        """Take (samples, 2)."""
        if not samples.size:
            return
        flat = samples.reshape(-1)
        self.peak = max(self.peak, float(flat.max()), -float(flat.min()))
        self.energy += _energy(flat)
        self._count += flat.size


def _energy(samples: Block) -> float:
    flat = samples.reshape(-1)
    return float(np.dot(flat, flat))
