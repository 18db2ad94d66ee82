"""What is asked for in a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from stemline.client.call import wire_time
from stemline.client.job import STEMS
from stemline.jobs.separation import MODE_TRACKS, TAG, AudioMode

MODES: Final[Mapping[int, str]] = {2: AudioMode.AUDIO_AND_BACKGROUND, 4: AudioMode.MUSIC_MODE}
"""``AudioMode`` by the number of stems."""
_LOSSLESS: Final = frozenset({"wav", "flac"})
_DEFAULT_STEMS: Final = 2
OUTPUT: Final = "stems/${jobid}/{stem}.${ext}"
"""Key of a stem where nothing else is asked for; the service replaces ``${jobid}`` and ``${ext}``."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Parameters of a job. What is not given is decided by the service."""

    source: str
    """Key of the object to separate."""
    stems: int = 2
    """2: voice and background; 4: voice, background, bass and drums."""
    mode: str = ""
    """``AudioMode``, instead of a number of stems: ``IsAudio`` and ``IsBackground`` make one stem alone."""
    codec: str = "wav"
    samplerate: int | None = None
    """Hz."""
    bitrate: int | None = None
    """kbit/s."""
    channels: int | None = None
    bit_depth: int | None = None
    model: str = ""
    """The model that separates, where the service lets the client choose; its own choice if empty."""
    template: str = ""
    """Id of a template; it replaces stems, mode and everything about the codec."""
    output: str | Mapping[str, str] = OUTPUT
    """Keys of the stems: a pattern with ``{stem}``, or one key for each name of a stem."""
    output_bucket: str = ""
    """The client's own bucket if empty."""
    output_region: str = ""
    level: int = 0
    """0 to 2; a higher one is served first."""
    queue: str = ""
    """Id of a queue; the bucket's own if empty."""
    user_data: str = ""
    """Up to 1024 printable ASCII characters, which the callback returns."""
    callback: str = ""
    """URL; ``no`` for none where the queue has one."""
    callback_format: str = ""
    """``XML`` or ``JSON``."""
    not_before: datetime | None = None
    """When the job may start; at once if not given."""
    deadline: datetime | None = None
    """A job that still waits then is cancelled."""
    timeout_s: int | None = None
    """Longest run of the job, s."""
    audio_track: str = ""
    """Number or language of the track to separate, in a file with several."""

    def body(self, bucket: str, region: str) -> dict[str, Any]:
        """Return the ``Request`` of the wire; the same parameters always give the same one.

        Args:
            bucket: Bucket that stems are written to unless the submission names another one.
            region: Region of that bucket.

        Raises:
            ValueError: A number of stems, a mode or the name of a stem is unknown, or a parameter would
                have no effect.
        """
        for name, why in self.without_effect().items():
            raise ValueError(f"{name} has no effect {why}")
        operation: dict[str, Any] = {}
        if self.template:
            operation["TemplateId"] = self.template
        else:
            operation["VoiceSeparate"] = {
                "AudioMode": self._mode(),
                "AudioConfig": audio_config(self),
                **({"Model": self.model} if self.model else {}),
            }
        operation["Output"] = {
            "Region": self.output_region or region,
            "Bucket": self.output_bucket or bucket,
            **self._names(),
        }
        if self.user_data:
            operation["UserData"] = self.user_data
        if self.level:
            operation["JobLevel"] = str(self.level)
        given = {"Object": self.source, "AudioTrack": self.audio_track}
        request = {
            "Tag": TAG,
            "Input": {name: value for name, value in given.items() if value},
            "Operation": operation,
            "QueueId": self.queue,
            "CallBack": self.callback,
            "CallBackFormat": self.callback_format,
            "NotBefore": wire_time(self.not_before),
            "Deadline": wire_time(self.deadline),
            "Timeout": "" if self.timeout_s is None else str(self.timeout_s),
        }
        return {name: value for name, value in request.items() if value}

    def without_effect(self) -> dict[str, str]:
        """Return the parameters that are given and would be ignored, each with the reason.

        The service takes them, as the vendor's does, and makes other stems than were asked for.

        Raises:
            ValueError: A number of stems or a mode is unknown.
        """
        numbers = {"samplerate": self.samplerate, "bitrate": self.bitrate, "channels": self.channels}
        if self.template:
            others = {"mode": self.mode, "model": self.model, "bit_depth": self.bit_depth}
            why = "with a template, which says all about the stems"
            return {name: why for name, value in {**others, **numbers}.items() if value}
        found = {}
        if self.mode and self.stems != _DEFAULT_STEMS and self.mode != MODES.get(self.stems):
            found["stems"] = f"with the mode {self.mode}"
        if self._mode() == AudioMode.MUSIC_MODE:
            why = "with 4 stems, whose rate, channels and bitrate the service chooses"
            found |= {name: why for name, value in numbers.items() if value}
        elif self.bitrate and self.codec in _LOSSLESS:
            found["bitrate"] = f"with {self.codec}, which is lossless"
        return found

    def stem_files(self) -> list[tuple[str, str]]:
        """Return name and extension of each stem that the mode and the codec make.

        Raises:
            ValueError: A number of stems or a mode is unknown.
        """
        return [(STEMS[track], self.codec) for track in MODE_TRACKS[AudioMode(self._mode())]]

    def _mode(self) -> str:
        mode = self.mode or MODES.get(self.stems, "")
        if mode not in set(AudioMode):
            numbers = " or ".join(map(str, MODES))
            raise ValueError(f"{self.mode or self.stems} is neither an AudioMode nor {numbers} stems")
        return mode

    def _names(self) -> dict[str, str]:
        """Return the keys of the stems by their elements; of all with a template, whose mode is not known."""
        if isinstance(self.output, str):
            tracks = list(STEMS) if self.template else [str(t) for t in MODE_TRACKS[AudioMode(self._mode())]]
            return {track: self.output.replace("{stem}", STEMS[track]) for track in tracks}
        return elements_of(self.output)


def elements_of(keys: Mapping[str, str]) -> dict[str, str]:
    """Return keys by the elements of ``Output`` that ask for them.

    Args:
        keys: By the names of the stems.

    Raises:
        ValueError: The name of a stem is unknown.
    """
    elements = {stem: element for element, stem in STEMS.items()}
    if unknown := sorted(set(keys) - set(elements)):
        raise ValueError(f"{', '.join(unknown)}: a stem is one of {', '.join(elements)}")
    return {elements[stem]: key for stem, key in keys.items()}


def audio_config(given: Submission) -> dict[str, str]:
    """Return the ``AudioConfig`` of the wire."""
    values = {
        "Codec": given.codec,
        "Samplerate": given.samplerate,
        "Bitrate": given.bitrate,
        "Channels": given.channels,
        "BitDepth": given.bit_depth,
    }
    return {name: str(value) for name, value in values.items() if value}
