"""Where the stems of each track are put: no two tracks write the same file, and no other file is replaced."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from stemline.client.names import fill, safe_name
from stemline.client.tracks.entry import Entry, digest
from stemline.client.tracks.sources import Track

_SPELLINGS: Final[Sequence[Callable[[Track], str]]] = (
    lambda track: safe_name(track.file_name),
    lambda track: safe_name(f"{_parent(track)}-{PurePosixPath(track.file_name).stem}"),
    lambda track: f"{safe_name(PurePosixPath(track.file_name).stem, 180)}-{digest(track.id)[:8]}",
)
"""Names for tracks that would write the same files otherwise; each is tried for those that still would."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that is there already, where a stem would be put."""

    path: Path
    owner: str
    """The track of the manifest that it is a stem of; empty if there is none."""


def placed(tracks: Iterable[Track], entries: Mapping[str, Entry], pattern: str) -> list[Track]:
    """Return tracks, each once, with names such that no two write the same file.

    Names that differ only in case or in the form of their letters count as the same: some file systems take
    them for one. A track that was begun before keeps its name. The others are named by their whole file name
    where they would clash, such as ``song.mp3`` and ``song.wav``; where that does not help, by their folder
    too, such as ``disc1-01`` and ``disc2-01``; and at last by a digest.

    Args:
        tracks: As they were found.
        entries: What became of tracks before, by their names.
        pattern: Pattern of the names of stems.

    Raises:
        ValueError: The pattern itself gives two tracks the same file.
    """
    fixed = {name: entry for name, entry in entries.items() if entry.name}
    found = [
        replace(track, folder=fixed[track.id].folder, name=fixed[track.id].name)
        if track.id in fixed
        else track
        for track in {track.id: track for track in tracks}.values()
    ]
    for spell in _SPELLINGS:
        movable = _clashing(found, pattern) - set(fixed)
        if not movable:
            break
        found = [replace(track, name=spell(track)) if track.id in movable else track for track in found]
    over = {name for name, entry in entries.items() if entry.state == "done"}
    if (clash := sorted(_clashing(found, pattern))) and not over.issuperset(clash):
        raise ValueError(
            f"{pattern} gives {clash[0]} and {clash[1]} the same files; add {{dir}}, {{name}} or {{jobid}}"
        )
    return found


def taken(
    tracks: Iterable[Track],
    entries: Mapping[str, Entry],
    folder: Path,
    pattern: str,
    kinds: Sequence[tuple[str, str]],
) -> list[Taken]:
    """Return the files that tracks would replace, other than their own.

    Args:
        tracks: With their places.
        entries: What became of tracks before, by their names.
        folder: Folder of the stems.
        pattern: Pattern of their names.
        kinds: Name and extension of each stem of a track.

    Raises:
        ValueError: The pattern gives two stems of a track the same file.
    """
    owners = {file: entry.track for entry in entries.values() for file in entry.files.values()}
    begun = {name for name, entry in entries.items() if entry.state == "done" or entry.files}
    paths = [
        path
        for track in tracks
        if track.id not in begun
        for path in targets(pattern, {**track.values, "jobid": track.id}, kinds)
    ]
    if "{jobid}" in pattern:  # the names are new ones
        return []
    return [
        Taken(folder / each, owners.get(str(each), "")) for each in paths if os.path.lexists(folder / each)
    ]


def targets(pattern: str, values: Mapping[str, str], kinds: Sequence[tuple[str, str]]) -> list[PurePosixPath]:
    """Return the files of one track's stems, relative to their folder.

    Raises:
        ValueError: The pattern gives two of them the same file.
    """
    paths = [fill(pattern, {**values, "stem": stem, "ext": extension}) for stem, extension in kinds]
    if len({_alike(path) for path in paths}) < len(paths):
        raise ValueError(f"{pattern} gives two stems the same file; add {{stem}}")
    return paths


def _clashing(tracks: Iterable[Track], pattern: str) -> set[str]:
    """Return the ids of tracks whose stems would be written to the files of other tracks."""
    owners: dict[str, list[str]] = {}
    for track in tracks:
        values = {**track.values, "jobid": track.id, "stem": "stem", "ext": "ext"}
        owners.setdefault(_alike(fill(pattern, values)), []).append(track.id)
    return {each for ids in owners.values() if len(ids) > 1 for each in ids}


def _alike(path: PurePosixPath) -> str:
    """Return what is equal for paths that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", str(path)).casefold())


def _parent(track: Track) -> str:
    where = PurePosixPath(track.key) if track.path is None else PurePosixPath(track.path.absolute())
    return where.parent.name
