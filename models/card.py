"""The card of a model: what its network computes, on what, and where it comes from.

A card is a TOML file beside the network (docs/models.md); `models.card_file` reads and writes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, Literal

from stemline.models.card_tables import (
    CHANNELS,
    NO_MORE_FIELDS,
    RATE,
    FieldError,
    Member,
    Segment,
    Spectrum,
    Tracks,
)
from stemline.models.published import ModelFile

#: Name of a card in the folder of its model.
CARD_FILE: Final = "card.toml"
#: Sample rates that a network may have, Hz.
RATES: Final = range(8_000, 192_001)
#: Most memory that a card may name, MB.
MAX_MEMORY_MB: Final = 1_000_000

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
#: Of a file beside a card: longer ones are refused by file systems.
_FILE = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")
_MAX_FILE_BYTES: Final = 255
_STEM = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Kind(StrEnum):
    """What goes into a network, and what comes out."""

    WAVEFORM = "waveform"  # samples of the mix to samples of each stem
    COMPLEX_SPECTROGRAM = "complex-spectrogram"  # the mix's spectrum to each stem's
    RATIO_MASK = "ratio-mask"  # the mix's magnitudes to each stem's; their ratios divide the mix
    ENSEMBLE = "ensemble"  # the weighted average of other models


#: The tracks that each mode of the wire asks for; IsAudio and IsBackground are parts of the first.
MODE_TRACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "AudioAndBackground": ("voice", "background"),
    "MusicMode": ("voice", "background", "bass", "drum"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything that has to be known of a model.

    Attributes:
        name: By which it is asked for, and the name of its folder.
        kind: What the network computes.
        stems: What the network gives, in its order.
        licence, source: Of the weights: under which terms, and where they are from.
        format: `onnx`, or `spleeter` for the built-in models, whose graph is built from a checkpoint.
        file, sha256, size: The network's file beside the card; `models add` fills in what is missing.
        description: For people.
        rate, channels: Of the network's samples. Streams are converted to another rate and back; with one
            channel the network runs for the left and for the right one.
        normalisation: What the mix is shifted and scaled by before the network, and the stems back after it:
            `track` by the mean and the deviation of the whole track, which takes a pass over it before;
            `running` by those of what was heard so far; `none`.
        segment, spectrum: See there.
        mix_less: Further stems by name: the mix less the stems that are listed.
        tracks: By mode (AudioAndBackground, MusicMode), the stem of each track.
        members: Of an ensemble.
        memory_mb: Memory that a process takes to run it, MB; a worker waits for so much before it loads it.
        measured: Published or measured speed and quality, for people.
    """

    __pydantic_config__: ClassVar = NO_MORE_FIELDS

    name: str
    kind: Kind
    stems: tuple[str, ...]
    licence: str
    source: str
    format: Literal["onnx", "spleeter"] = "onnx"
    file: str = ""
    sha256: str | None = None
    size: int | None = None
    description: str = ""
    rate: int = RATE
    channels: int = CHANNELS
    normalisation: Literal["none", "track", "running"] = "none"
    segment: Segment = field(default_factory=Segment)
    spectrum: Spectrum | None = None
    mix_less: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tracks: Mapping[str, Tracks] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    memory_mb: float | None = None
    measured: Mapping[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise FieldError("must be lower-case letters, digits, '.', '_' and '-', at most 63", "name")
        for key in ("licence", "source"):
            if not getattr(self, key).strip():
                raise FieldError("must not be empty", key)
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise FieldError("must be 64 hexadecimal digits in lower case", "sha256")
        self._check_file()
        self._check_measured()
        if self.rate not in RATES:
            raise FieldError(f"must be from {RATES.start} to {RATES.stop - 1} Hz", "rate")
        if self.channels not in {1, CHANNELS}:
            raise FieldError("must be 2, or 1 for a network that sees one channel at a time", "channels")
        for key, usual in (("rate", RATE), ("channels", CHANNELS)):
            if self.kind is Kind.ENSEMBLE and getattr(self, key) != usual:
                raise FieldError("the members decide it", key)
        self._check_stems()
        self._check_tracks()
        if self.format == "onnx":
            self._check_kind()

    @property
    def all_stems(self) -> tuple[str, ...]:
        """Return the stems of the network and those made by subtraction."""
        return (*self.stems, *self.mix_less)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """Return the files in the folder of the model: the card, and the network with its checksum."""
        network = (ModelFile(self.file, self.sha256, self.size),) if self.file else ()
        return (ModelFile(CARD_FILE, None, None), *network)

    def modes(self) -> tuple[str, ...]:
        """Return the modes of the wire that this model answers."""
        return tuple(mode for mode in MODE_TRACKS if mode in self.tracks)

    def _check_file(self) -> None:
        if self.file and (not _FILE.fullmatch(self.file) or self.file == CARD_FILE):
            raise FieldError("must be the name of a file beside the card", "file")
        if len(self.file.encode()) > _MAX_FILE_BYTES:
            raise FieldError(f"must have at most {_MAX_FILE_BYTES} bytes", "file")

    def _check_measured(self) -> None:
        if self.memory_mb is not None and not 0 < self.memory_mb <= MAX_MEMORY_MB:
            raise FieldError(f"must be above 0 and at most {MAX_MEMORY_MB} MB", "memory_mb")
        for key, value in self.measured.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise FieldError("must be a finite number", "measured", key)

    def _check_stems(self) -> None:
        if not self.stems:
            raise FieldError("must name at least one stem", "stems")
        for number, stem in enumerate(self.stems):
            if not _STEM.fullmatch(stem):
                raise FieldError(f"{stem!r} must be lower-case letters, digits, '_' and '-'", "stems", number)
            if stem in self.stems[:number]:
                raise FieldError(f"{stem!r} is named twice", "stems", number)
        for stem, others in self.mix_less.items():
            if not _STEM.fullmatch(stem) or stem in self.stems:
                raise FieldError("must be a new name in lower case", "mix_less", stem)
            _check_known(others, self.stems, "mix_less", stem)

    def _check_tracks(self) -> None:
        for mode, tracks in self.tracks.items():
            if mode not in MODE_TRACKS:
                raise FieldError(f"there is no such mode; there are {', '.join(MODE_TRACKS)}", "tracks", mode)
            named = tracks.named()
            if set(named) != set(MODE_TRACKS[mode]):
                raise FieldError(f"must name the tracks {', '.join(MODE_TRACKS[mode])}", "tracks", mode)
            for track, stem in named.items():
                _check_known((stem,), self.all_stems, "tracks", mode, track)

    def _check_kind(self) -> None:
        """Check that what the kind needs is there, and nothing that it cannot use."""
        needed = {Kind.WAVEFORM: "segment", Kind.ENSEMBLE: "members"}.get(self.kind, "spectrum")
        given = {
            "segment": self.segment != Segment(),
            "spectrum": self.spectrum is not None,
            "members": bool(self.members),
        }
        if not given[needed]:
            raise FieldError(f"a model of the kind {self.kind} needs it", needed)
        usable = {needed, "segment"} if needed == "spectrum" else {needed}
        for key, is_given in given.items():
            if is_given and key not in usable:
                raise FieldError(f"a model of the kind {self.kind} has none", key)
        if self.kind is Kind.WAVEFORM:
            if self.segment.samples is None:
                raise FieldError("a model of the kind waveform needs it", "segment", "samples")
            if self.segment.window == "middle":
                raise FieldError("`middle` needs a spectrum", "segment", "window")
        elif self.segment.samples is not None:
            raise FieldError("the spectrum's frames decide it", "segment", "samples")
        if self.kind is Kind.ENSEMBLE:
            self._check_members()

    def _check_members(self) -> None:
        if self.file or self.sha256:
            raise FieldError("an ensemble has no file of its own", "file")
        if self.normalisation != "none":
            raise FieldError("the members decide it", "normalisation")
        for number, member in enumerate(self.members):
            if member.model == self.name:
                raise FieldError("an ensemble cannot be its own member", "members", number, "model")
            for stem, weight in (member.weights or {}).items():
                _check_known((stem,), self.stems, "members", number, "weights", stem)
                if not 0 <= weight <= 1000:
                    raise FieldError("must be from 0 to 1000", "members", number, "weights", stem)
        for stem in self.stems:
            if not any(member.weight(stem) for member in self.members):
                raise FieldError(f"no member has a weight for {stem}", "members")


def _check_known(names: Sequence[str], known: Sequence[str], *path: str | int) -> None:
    for name in names:
        if name not in known:
            raise FieldError(f"there is no stem {name!r}; there are {', '.join(known)}", *path)
    if not names:
        raise FieldError("must name at least one stem", *path)
