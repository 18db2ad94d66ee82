"""What is measured of a separation while it runs: waveforms, shares, and the sum of the stems."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np

from stemline.separation.array_pool import Scratch
from stemline.separation.measure import PeakMeter, decibels
from stemline.separation.media.pcm import quantised
from stemline.separation.network import CHANNELS
from stemline.separation.shares import Share, ShareMeter
from stemline.separation.waveform import Waveform, WaveformMeter
from stemline.separation.windows import Block


class Taken(Protocol):
    """How an encoder takes the samples of a stem."""

    @property
    def taken_bits(self) -> int:
        """Bits of a sample; 32 is floating point."""

    @property
    def clips(self) -> bool:
        """Whether samples beyond full scale are clipped."""


class Monitor:
    """Measures the mix and its stems piece by piece, in constant memory.

    Args:
        stems: How the encoders take the stems that are made, by name.
        is_complete: Whether these add up to the mix, so that what encoding changes of it can be measured.
        parts: Stems that the network makes independently of each other, and that are meant to be the mix.
    """

    def __init__(self, stems: Mapping[str, Taken], *, is_complete: bool, parts: tuple[str, ...] = ()) -> None:
        self._stems = stems
        self._waves = {name: WaveformMeter() for name in stems}
        self._mix = WaveformMeter()
        self._null = PeakMeter() if is_complete else None
        self._shares = ShareMeter(tuple(stems), parts)
        self._mix_piece, self._total, self._stem = Scratch(), Scratch(), Scratch()
        self._ahead: deque[Block] = deque()
        """Samples of the mix that the stems have not reached."""

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks of the mix and measure them."""
        for block in blocks:
            self._mix.feed(block)
            self._ahead.append(block)
            yield block

    def feed(self, piece: Mapping[str, Block]) -> None:
        """Take the next samples of every stem, (samples, 2)."""
        for name, samples in piece.items():
            self._waves[name].feed(samples)
        mix = self._take(len(next(iter(piece.values()))))
        self._shares.feed(piece, mix)
        if self._null is not None:
            # The stems are added up first: the last one is the mix less the others, and would cancel both.
            total = self._total.of(mix.shape)
            for number, (name, samples) in enumerate(piece.items()):
                as_taken = self._stem.of(samples.shape) if number else total
                quantised(samples, self._stems[name].taken_bits, clips=self._stems[name].clips, out=as_taken)
                if number:
                    total += as_taken
            total -= mix
            self._null.feed(total)

    def null_test_db(self) -> float | None:
        """Return the largest sample of the stems' sum less the mix, dBFS; None where a stem is missing.

        The stems are rounded and clipped as their encoders take them, at 44.1 kHz in stereo. Before that they
        add up by construction, so this says nothing of the network: `shares` and `residual_db` do.
        """
        return None if self._null is None else decibels(self._null.peak)

    def shares(self) -> dict[str, Share]:
        """Return what each stem has of the mix, by name."""
        return self._shares.shares()

    def residual_db(self) -> float | None:
        """Return what the network's own parts leave of the mix's energy, dB; None where they are not all."""
        return self._shares.residual_db()

    def waveforms(self) -> dict[str, Waveform]:
        """Return the waveforms of the stems by name."""
        return {name: wave.finish() for name, wave in self._waves.items()}

    def mix_waveform(self) -> Waveform:
        """Return the waveform of the mix."""
        return self._mix.finish()

    def _take(self, count: int) -> Block:
        """Return the next samples of the mix, valid until the next call."""
        parts: list[Block] = []
        missing = count
        while missing:
            block = self._ahead.popleft()
            if len(block) > missing:
                self._ahead.appendleft(block[missing:])
                block = block[:missing]
            parts.append(block)
            missing -= len(block)
        return np.concatenate(parts, out=self._mix_piece.of((count, CHANNELS)))
