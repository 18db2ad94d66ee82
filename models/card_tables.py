"""The tables of a card: its segments, its spectrum, its members and its tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

#: Rate and channels of everything that is separated; those of a network are converted.
RATE: Final = 44_100
CHANNELS: Final = 2
#: Longest segment that a card may ask for, samples (60 s at 44.1 kHz).
MAX_SAMPLES: Final = 60 * RATE

#: Read by pydantic: a field that is not known is an error.
NO_MORE_FIELDS: Final = {"extra": "forbid"}


class FieldError(ValueError):
    """A value of a card is wrong.

    Attributes:
        path: Where it stands, such as ``("segment", "overlap")``.
    """

    def __init__(self, message: str, *path: str | int) -> None:
        self.path = path
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The pieces that a network sees at a time, and how its results are joined.

    Attributes:
        samples: Length of a segment; a spectrum's frames decide it where there is a spectrum.
        overlap: Share of a segment that the next one repeats, where the window is not `middle`.
        window: The weight of a sample by its place in the segment: `triangle`, `hann`, `hamming`, whose last
            segment ends with the track, or `middle`, which uses the middle alone and drops half a frame of
            the transform on both sides.
        at_once: Segments that processors run at the same time, each on its part of the cores; more need more
            memory.
        batch: Most segments that a GPU runs at once; above 1 only where the graph takes any number.
    """

    __pydantic_config__: ClassVar = NO_MORE_FIELDS

    samples: int | None = None
    overlap: float = 0.25
    window: Literal["triangle", "hann", "hamming", "middle"] | None = None
    at_once: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        if self.samples is not None and not 1 < self.samples <= MAX_SAMPLES:
            raise FieldError(f"must be from 2 to {MAX_SAMPLES} samples", "segment", "samples")
        if not 0 <= self.overlap <= 0.9:
            raise FieldError("must be from 0 to 0.9", "segment", "overlap")
        if not 1 <= self.at_once <= 256:
            raise FieldError("must be from 1 to 256", "segment", "at_once")
        if not 1 <= self.batch <= 64:
            raise FieldError("must be from 1 to 64", "segment", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The short-time Fourier transform around a network: centred frames under a periodic Hann window.

    Attributes:
        n_fft: Samples of a frame.
        hop: Samples between two frames.
        bins: Bins that the network sees, from the lowest; MDX-Net's `dim_f`.
        frames: Frames that it sees at a time; MDX-Net's `dim_t`.
        compensation: Factor of the network's stems, which MDX-Net's authors give for each network.
        zeroed_bins: Lowest bins of the network's input that are set to zero; 3 in UVR's MDX-Net loop.
        power: Exponent of the magnitudes whose ratios are the masks, for `ratio-mask`.
    """

    __pydantic_config__: ClassVar = NO_MORE_FIELDS

    n_fft: int
    bins: int
    frames: int
    hop: int = 1024
    compensation: float = 1.0
    zeroed_bins: int = 0
    power: float = 1.0

    def __post_init__(self) -> None:
        if not 16 <= self.n_fft <= 32_768 or self.n_fft % 2:
            raise FieldError("must be an even number from 16 to 32768", "spectrum", "n_fft")
        if not 1 <= self.hop <= self.n_fft // 2:
            raise FieldError("must be from 1 to half of n_fft", "spectrum", "hop")
        if not 1 <= self.bins <= self.n_fft // 2 + 1:
            raise FieldError(
                f"must be from 1 to {self.n_fft // 2 + 1}, the bins of a frame", "spectrum", "bins"
            )
        if not self.n_fft < self.hop * (self.frames - 1) <= MAX_SAMPLES:
            raise FieldError(
                f"(frames - 1) * hop must be more than n_fft, and at most {MAX_SAMPLES} samples",
                "spectrum",
                "frames",
            )
        if not 0 < self.compensation <= 4:
            raise FieldError("must be above 0 and at most 4", "spectrum", "compensation")
        if not 0 <= self.zeroed_bins < self.bins:
            raise FieldError("must be from 0 to less than bins", "spectrum", "zeroed_bins")
        if not 0 < self.power <= 4:
            raise FieldError("must be above 0 and at most 4", "spectrum", "power")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A model of an ensemble, and the weight of each of its stems; a stem that is not named has weight 0.

    Without weights, all stems have weight 1.
    """

    __pydantic_config__: ClassVar = NO_MORE_FIELDS

    model: str
    weights: Mapping[str, float] | None = None

    def weight(self, stem: str) -> float:
        """Return the weight of this member's stem."""
        return 1.0 if self.weights is None else self.weights.get(stem, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """The stem that answers for each track of the wire."""

    __pydantic_config__: ClassVar = NO_MORE_FIELDS

    voice: str | None = None
    background: str | None = None
    bass: str | None = None
    drum: str | None = None

    def named(self) -> dict[str, str]:
        """Return the stems that are given, by track."""
        tracks = {"voice": self.voice, "background": self.background, "bass": self.bass, "drum": self.drum}
        return {track: stem for track, stem in tracks.items() if stem is not None}
