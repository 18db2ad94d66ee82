"""What a file's own framing says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stemline.separation.media.containers.stored_samples import StreamsSamples

#: Bytes by which recorders declare the data of a wav longer than it is; many count the header's 44 as well.
EXCESS_BYTES = 100

#: Most bytes of metadata that a source may have. An index of ten hours takes about half of it.
METADATA_MAX_BYTES = 64 << 20
#: What a part of a file counts for however short it is: reading it takes time.
PART_BYTES = 64


@dataclass(frozen=True, slots=True)
class Structure:
    """What is found by following a file's parts (chunks, boxes, pages, clusters) without decoding them.

    Attributes:
        size: Bytes in the file.
        end: Byte at which the last part ends by its own length; None where no length is declared.
        broken_at: Byte at which there is something else than the next part; None where there is no gap.
        last_sample: Position at which an Ogg stream ends by its last page, in samples; None where unknown.
        links: Bytes at which further files start that were appended to the first one, or further streams of a
            chained Ogg file, each with its own codec and rate.
        next_file: Byte at which the first of them starts; None without one.
        packet_frames: Samples in each packet of a caf; 0 where unknown.
        frames: Frames that the Xing, Info or VBRI header of an mp3 counts; None without one.
        skipped_samples: Samples of an mp3 that its LAME header counts as delay and padding.
        first_sample: Number of the first sample of a flac: above 0 where its start was cut off, or its time
            does not begin at 0.
        first_page_samples: Samples of the first page of a flac in Ogg.
        frame_samples: Samples of each frame of a flac whose frames are equally long.
        stream_bytes: Bytes of sound that an avi's index, or a wav's header, counts for a stream.
        duration_s: Duration of all frames of an elementary stream, seconds; None where they were not counted.
        bitrate_kbps: Average bitrate of an elementary stream whose frames differ; None where they do not.
        channels: The most channels that a frame of an elementary stream has; 0 where unknown.
        empty_chunks: Where chunks without content stand in an avi, each for a frame that was not recorded: by
            stream and number of the chunk that follows, how many.
        metadata_bytes: Bytes of tags, pictures, attachments and indexes, which FFmpeg keeps in memory; each
            part counts for at least `PART_BYTES`.
        foreign_bytes: Length of ID3v2 tags before a container that has none of its own; FFmpeg reads few so.
        samples: How PCM samples are stored, where FFmpeg takes it otherwise.
        reads_on: Whether FFmpeg takes what follows the end for sound.
        lacks_lengths: Whether its header has no true duration: its writer could not seek back.
        lacks_index: Whether an mp4 has no `moov` box, without which nothing of it can be found.
    """

    size: int
    end: int | None = None
    broken_at: int | None = None
    last_sample: int | None = None
    links: tuple[int, ...] = ()
    next_file: int | None = None
    packet_frames: int = 0
    frames: int | None = None
    skipped_samples: int = 0
    first_sample: int = 0
    first_page_samples: int = 0
    frame_samples: int = 0
    stream_bytes: Mapping[int, int] = field(default_factory=dict)
    duration_s: float | None = None
    bitrate_kbps: int | None = None
    channels: int = 0
    foreign_bytes: int = 0
    samples: StreamsSamples = field(default_factory=StreamsSamples)
    reads_on: bool = False
    lacks_lengths: bool = False
    lacks_index: bool = False
    empty_chunks: Mapping[tuple[int, int], int] = field(default_factory=dict)
    metadata_bytes: int = 0

    def behind(self, start: int) -> Structure:
        """Return the same for a file in which `start` bytes of tags precede all of it."""
        return replace(
            self,
            size=start + self.size,
            end=None if self.end is None else start + self.end,
            broken_at=None if self.broken_at is None else start + self.broken_at,
            links=tuple(start + link for link in self.links),
            next_file=None if self.next_file is None else start + self.next_file,
            metadata_bytes=start + self.metadata_bytes,
        )


def without_excess(end: int | None, size: int) -> int | None:
    """Return the end of a file's data; `size` where the writer declared a few bytes too many."""
    return size if end is not None and size < end <= size + EXCESS_BYTES else end
