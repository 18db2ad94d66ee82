"""What a file's own framing says about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Structure:
    """What is found by following a file's parts (chunks, boxes, pages, clusters) without decoding them.

    Attributes:
        size: Bytes in the file.
        end: Byte at which the last part ends by its own length; None where no length is declared.
        broken_at: Byte at which there is something else than the next part; None where there is no gap.
        last_sample: Position at which an Ogg stream ends by its last page, in samples; None where unknown.
        frames: Frames that the Xing, Info or VBRI header of an mp3 counts; None without one.
    """

    size: int
    end: int | None = None
    broken_at: int | None = None
    last_sample: int | None = None
    frames: int | None = None
