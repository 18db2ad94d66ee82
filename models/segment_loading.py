"""Loads the models that are described by cards: the engine of a network, or those of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from stemline.models.card import Card, Kind
from stemline.separation.engine import LoadedEngine
from stemline.separation.ensemble import EnsembleEngine, EnsembleMember, EnsembleNetwork
from stemline.separation.kinds.complex_spectrogram import ComplexSpectrogram
from stemline.separation.kinds.kind import NetworkKind
from stemline.separation.kinds.ratio_mask import RatioMask
from stemline.separation.kinds.waveform import Waveform
from stemline.separation.segment_engine import SegmentEngine, SegmentNetwork
from stemline.separation.segments import Segmentation, hamming, hann, middle, triangle
from stemline.separation.spectra import CentredTransform


def open_network(
    card: Card, file: Path, *, device: str, threads: int, songs: int, batch_wait_s: float
) -> SegmentEngine:
    """Open the network of a card.

    Raises:
        DeviceError: The device asked for is not there.
        WeightsCorrupt: The network is damaged, or differs from what its card says.
    """
    return SegmentEngine(
        network_of(card),
        lambda *, polyphase: file,  # noqa: ARG005  # the file is as it is
        device=device,
        threads=threads,
        songs=songs,
        at_once=card.segment.at_once,
        batch=card.segment.batch,
        batch_wait_s=batch_wait_s,
    )


def open_ensemble(card: Card, load: Callable[[str], LoadedEngine]) -> EnsembleEngine:
    """Load the models of an ensemble, by their names.

    Raises:
        SeparationError: One of them cannot be loaded.
    """
    network = EnsembleNetwork(card.name, card.all_stems, card.stems, card.mix_less)
    members = [
        EnsembleMember(load(member.model), {stem: member.weight(stem) for stem in card.stems})
        for member in card.members
    ]
    return EnsembleEngine(network, members)


def network_of(card: Card) -> SegmentNetwork:
    """Return what the engine has to know of a network."""
    kind, cutting = _kind(card), _cutting(card)
    return SegmentNetwork(
        card.name,
        card.all_stems,
        card.stems,
        kind,
        cutting,
        card.mix_less,
        card.normalisation,
        card.channels,
        card.rate,
    )


def _kind(card: Card) -> NetworkKind:
    spectrum, stems = card.spectrum, len(card.stems)
    if spectrum is None:
        return Waveform(stems, card.segment.samples or 0, card.channels)
    transform = CentredTransform(spectrum.n_fft, spectrum.hop, spectrum.frames)
    if card.kind is Kind.RATIO_MASK:
        return RatioMask(transform, spectrum.bins, stems, power=spectrum.power, channels=card.channels)
    return ComplexSpectrogram(
        transform,
        spectrum.bins,
        stems,
        compensation=spectrum.compensation,
        zeroed_bins=spectrum.zeroed_bins,
        channels=card.channels,
    )


def _cutting(card: Card) -> Segmentation:
    segment, spectrum = card.segment, card.spectrum
    if spectrum is None:
        length, trim, window = segment.samples or 0, 0, segment.window or "triangle"
    else:
        length, trim = spectrum.hop * (spectrum.frames - 1), spectrum.n_fft // 2
        window = segment.window or "middle"
    match window:
        case "triangle":
            return triangle(length, segment.overlap)
        case "hann":
            return hann(length, segment.overlap, trim)
        case "hamming":
            return hamming(length, segment.overlap)
        case "middle":
            return middle(length, trim)
        case _:
            assert_never(window)
