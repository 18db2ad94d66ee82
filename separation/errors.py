"""Everything that can go wrong between audio in and stems out.

SeparationError
├── MediaError
│   ├── NoAudioStream
│   ├── UndecodableMedia
│   ├── TruncatedMedia
│   ├── DamagedMedia
│   ├── EmptyAudio
│   └── NonFiniteAudio
├── OptionError
│   └── ModelUnknown
├── LimitExceeded
│   ├── TooLong
│   ├── TooLarge
│   ├── TooMuchMetadata
│   └── DecodingTooExpensive
├── DecoderCrashed
│   └── DecoderLost
├── WeightsError
│   ├── WeightsMissing
│   ├── WeightsCorrupt
│   └── CardError
├── DeviceError
│   ├── DeviceFailed
│   └── DeviceOutOfMemory
├── BrokenNetwork
├── MemoryShort
├── OutputError
│   └── DiskFull
│       └── DiskTooSmall
└── Cancelled

The docstring of each class is its default message.
"""

from __future__ import annotations


class SeparationError(Exception):
    """The separation failed."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class MediaError(SeparationError):
    """The source is not audio that can be separated."""


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


class ModelUnknown(OptionError):
    """There is no such model."""


class LimitExceeded(SeparationError):
    """The source exceeds a limit of this service."""


class TooLong(LimitExceeded):
    """The source lasts longer than this service allows."""


class TooLarge(LimitExceeded):
    """The source is larger than this service allows."""


class TooMuchMetadata(LimitExceeded):
    """The source has more metadata (pictures, attachments, tags, indexes) than this service allows."""


class DecodingTooExpensive(LimitExceeded):
    """Decoding the source takes more memory or processor time than this service allows."""


class DecoderCrashed(SeparationError):
    """The decoder crashed on the source."""


class DecoderLost(DecoderCrashed):
    """The decoding process ended unexpectedly, as far as is known not because of the source."""


class WeightsError(SeparationError):
    """The weights of the model cannot be used."""


class WeightsMissing(WeightsError):
    """The weights of the model are missing; fetch them with `stemline models pull`."""


class WeightsCorrupt(WeightsError):
    """The weights of the model do not match their checksum; fetch them again with `stemline models pull`."""


class CardError(WeightsError):
    """The card of a model is wrong."""


class DeviceError(SeparationError):
    """The requested device is not available or cannot run the network."""


class DeviceOutOfMemory(DeviceError):
    """The device has not enough memory for even one segment."""


class DeviceFailed(DeviceError):
    """The device failed while it ran the network; only a new process can use it again."""


class BrokenNetwork(SeparationError):
    """The network of the model gives values that are not finite numbers."""


class MemoryShort(SeparationError):
    """The worker's memory was short for too long."""


class OutputError(SeparationError):
    """A stem could not be written."""


class DiskFull(OutputError):
    """There is no space left to write a stem."""


class DiskTooSmall(DiskFull):
    """The source and its stems are larger than the worker's scratch folder."""


class Cancelled(SeparationError):
    """The separation was cancelled."""
