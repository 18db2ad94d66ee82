"""Finding tracks: in a folder, below a prefix of the bucket, or in a list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from stemline.client.names import fill, safe_name
from stemline.client.objects import Bucket

_SOUND: Final = "aac ac3 aif aiff amr ape au caf dsf dts eac3 flac m4a m4b mka mp2 mp3 oga ogg opus tak tta"
_OTHERS: Final = "w64 wav wma wv asf avi flv mkv mov mp4 mpeg mpg ts webm wmv 3gp"
EXTENSIONS: Final = frozenset(f"{_SOUND} {_OTHERS}".split())
"""Of files in folders and of objects below prefixes, without the dot."""


@dataclass(frozen=True, slots=True)
class Track:
    """One source."""

    id: str
    """Its name in the manifest: the path below the folder, the key, or the line of the list."""
    path: Path | None = None
    """The file, if it is one of this machine."""
    key: str = ""
    """The object, if it is in the bucket."""
    folder: str = ""
    """``{dir}`` in the names of its stems."""
    name: str = ""
    """``{name}`` in the names of its stems."""
    size: int | None = None
    """Bytes."""

    @property
    def file_name(self) -> str:
        """Return the last part of its path or key."""
        return self.path.name if self.path is not None else PurePosixPath(self.key).name

    @property
    def values(self) -> Mapping[str, str]:
        """Return what is filled into the names of its stems."""
        return {"dir": self.folder, "name": self.name}


def in_folder(folder: Path, *, without: Path) -> Iterator[Track]:
    """Yield the media files below a folder, in the order of their paths.

    Args:
        folder: of the files; hidden ones are left out, and links to folders are not followed.
        without: the folder of the output, which may be below.

    Raises:
        ValueError: it is the folder itself, whose stems would be the next run's sources.
        OSError: a folder cannot be read.
    """
    outputs = without.resolve()
    if outputs == folder.resolve():
        raise ValueError(f"the stems of {folder} need a folder of their own")
    for parent, folders, files in os.walk(folder, onerror=_raise):
        here = Path(parent)
        folders[:] = sorted(
            each for each in folders if not each.startswith(".") and (here / each).resolve() != outputs
        )
        for name in sorted(files):
            path = here / name
            if is_media(name) and path.is_file():
                inside = path.relative_to(folder)
                yield _local(inside.as_posix(), path, inside.parent.as_posix())


def _raise(error: OSError) -> None:
    raise error


def below_prefix(bucket: Bucket, prefix: str) -> Iterator[Track]:
    """Yield the media objects whose keys begin with a prefix."""
    for found in bucket.list(prefix):
        if is_media(found.key):
            folder = PurePosixPath(found.key.removeprefix(prefix).lstrip("/")).parent.as_posix()
            yield replace(_remote(found.key, folder), size=found.size)


def in_list(lines: Iterable[str], *, base: Path, bucket: str) -> Iterator[Track]:
    """Yield the tracks of a list with a path, a key or ``s3://BUCKET/KEY`` on each line.

    A line that names a file of this machine is one; every other line is a key. Empty lines and those that
    begin with ``#`` are left out.

    Args:
        lines: of the list.
        base: folder that relative paths begin at.
        bucket: that the jobs read from.

    Raises:
        ValueError: a line names another bucket.
    """
    start = f"s3://{bucket}/"
    for line in lines:
        text = line.rstrip("\r\n").strip(" \t\ufeff")
        if not text or text.startswith("#"):
            continue
        if (base / text).is_file():
            folder = "" if Path(text).is_absolute() else PurePosixPath(text).parent.as_posix()
            yield _local(text, base / text, folder)
        elif text.startswith("s3://") and not text.startswith(start):
            raise ValueError(f"{text}: jobs read from the bucket {bucket}")
        else:
            key = text.removeprefix(start)
            yield _remote(key, PurePosixPath(key).parent.as_posix())


def named(paths: Sequence[Path]) -> Iterator[Track]:
    """Yield the tracks of files that were named one by one."""
    for path in paths:
        # Whole paths: a later run elsewhere may name other files with the same names.
        yield _local(path.resolve().as_posix(), path, "")


def distinct(tracks: Iterable[Track], pattern: str) -> list[Track]:
    """Return tracks, each once, with names such that no two write the same file.

    Those that would are named by their whole file name, such as ``song.mp3`` and ``song.wav``.

    Args:
        tracks: as they were found.
        pattern: of the names of stems.

    Raises:
        ValueError: the pattern itself gives two tracks the same file.
    """
    found = list({track.id: track for track in tracks}.values())
    shared = _shared(found, pattern)
    changed = [replace(t, name=safe_name(t.file_name)) if t.id in shared else t for t in found]
    if clash := sorted(_shared(changed, pattern)):
        raise ValueError(
            f"{pattern} gives {clash[0]} and {clash[1]} the same files; add {{dir}}, {{name}} or {{jobid}}"
        )
    return changed


def is_media(name: str) -> bool:
    """Return whether the extension of a name is one of audio or video."""
    last = name.rpartition("/")[2]
    return not last.startswith(".") and last.rpartition(".")[2].lower() in EXTENSIONS


def _shared(tracks: Iterable[Track], pattern: str) -> set[str]:
    """Return the ids of tracks whose stems would be written to the files of other tracks."""
    owners: dict[str, list[str]] = {}
    for track in tracks:
        values = {**track.values, "jobid": track.id, "stem": "stem", "ext": "ext"}
        owners.setdefault(str(fill(pattern, values)).casefold(), []).append(track.id)
    return {each for ids in owners.values() if len(ids) > 1 for each in ids}


def _local(track: str, path: Path, folder: str) -> Track:
    try:
        size = path.stat().st_size
    except OSError:
        size = None
    return Track(track, path=path, folder=_folder(folder), name=safe_name(path.stem), size=size)


def _remote(key: str, folder: str) -> Track:
    return Track(key, key=key, folder=_folder(folder), name=safe_name(PurePosixPath(key).stem))


def _folder(text: str) -> str:
    parts = [safe_name(part) for part in text.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)
