"""Everything that can go wrong between audio in and stems out.

SeparationError                 InternalError
├── MediaError                  InvalidContent
│   ├── NoAudioStream
│   ├── UndecodableMedia
│   ├── TruncatedMedia
│   ├── DamagedMedia
│   ├── EmptyAudio
│   └── NonFiniteAudio
├── OptionError                 InvalidArgument
├── LimitExceeded               InvalidArgument
│   ├── TooLong
│   └── TooLarge
├── WeightsError                WeightsUnavailable
│   ├── WeightsMissing
│   └── WeightsCorrupt
├── DeviceError                 DeviceUnavailable
│   └── DeviceOutOfMemory
├── OutputError                 InternalError
│   └── DiskFull
└── Cancelled                   Cancelled

Each class carries the wire's code as ``code``; its docstring is the default message.
"""

from __future__ import annotations

from typing import ClassVar


class SeparationError(Exception):
    """The separation failed."""

    code: ClassVar[str] = "InternalError"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class MediaError(SeparationError):
    """The source is not audio that can be separated."""

    code = "InvalidContent"


class NoAudioStream(MediaError):
    """The source has no audio stream."""


class UndecodableMedia(MediaError):
    """The source is not a media file that can be decoded."""


class TruncatedMedia(MediaError):
    """The source ends before the duration it declares."""


class DamagedMedia(MediaError):
    """The source is damaged: a part of it cannot be decoded or is missing."""


class EmptyAudio(MediaError):
    """The audio stream of the source has no samples."""


class NonFiniteAudio(MediaError):
    """The source has samples that are not finite numbers."""


class OptionError(SeparationError):
    """The requested combination of models, codecs and options does not exist."""

    code = "InvalidArgument"


class LimitExceeded(SeparationError):
    """The source exceeds a limit of this service."""

    code = "InvalidArgument"


class TooLong(LimitExceeded):
    """The source lasts longer than this service allows."""


class TooLarge(LimitExceeded):
    """The source is larger than this service allows."""


class WeightsError(SeparationError):
    """The weights of the model cannot be used."""

    code = "WeightsUnavailable"


class WeightsMissing(WeightsError):
    """The weights of the model are missing; fetch them with `stemline models pull`."""


class WeightsCorrupt(WeightsError):
    """The weights of the model do not match their checksum; fetch them again with `stemline models pull`."""


class DeviceError(SeparationError):
    """The requested device is not available or cannot run the network."""

    code = "DeviceUnavailable"


class DeviceOutOfMemory(DeviceError):
    """The device has not enough memory for even one segment."""


class OutputError(SeparationError):
    """A stem could not be written."""


class DiskFull(OutputError):
    """There is no space left to write a stem."""


class Cancelled(SeparationError):
    """The separation was cancelled."""

    code = "Cancelled"
