"""What is left to be done of a run: a track is done while its stems are there and its source is the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stemline.client.errors import TransferFailed
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.sources import Track


def has_changed(track: Track, entry: Entry) -> bool:
    """Return whether a source is another one than what was separated, as far as its size and time show."""
    return bool(entry.stamp and track.stamp) and entry.stamp != track.stamp


def lacks_stems(entry: Entry, folder: Path) -> bool:
    """Return whether a stem that was fetched is not there any more, or has another size."""
    if any(size_of(folder / file) != size for file, size in entry.sizes.items()):
        return True
    return any(not os.path.lexists(folder / file) for file in entry.files.values())


def left(
    tracks: Iterable[Track],
    entries: Mapping[str, Entry],
    folder: Path,
    *,
    retry_failed: bool = False,
    waits: bool = True,
) -> list[Track]:
    """Return the tracks for which something is left to be done.

    Args:
        tracks: All of them.
        entries: What became of tracks before, by their names.
        folder: Of the stems; a track is done only while they are there, and its source is the same. One that
            failed is left if its source has changed since.
        retry_failed: Whether these are the tracks that failed, and those whose second job was interrupted.
        waits: Whether stems are fetched.
    """

    def is_left(track: Track, entry: Entry) -> bool:
        if retry_failed:
            return entry.state == "failed" or (entry.state != "done" and entry.turn > 1)
        if entry.state == "done":
            return has_changed(track, entry) or (waits and lacks_stems(entry, folder))
        return entry.state != "failed" or has_changed(track, entry)

    return [track for track in tracks if is_left(track, entries.get(track.id) or Entry(track.id))]


def check_untouched(entry: Entry, folder: Path) -> None:
    """Check that the stems that were fetched before are unchanged.

    Raises:
        TransferFailed: One was changed.
    """
    for file, size in entry.sizes.items():
        if size_of(folder / file) not in {None, size}:
            raise TransferFailed(f"{folder / file} was changed since it was fetched")


def size_of(path: Path) -> int | None:
    """Return the bytes of a file; ``None`` if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None
