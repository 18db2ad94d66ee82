"""Finding tracks: in a folder, below a prefix of the bucket, or in a list."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from stemline.client.names import safe_name
from stemline.client.objects import Bucket

_SOUND: Final = "aac ac3 aif aiff amr ape au caf dsf dts eac3 flac m4a m4b mka mp2 mp3 oga ogg opus tak tta"
_OTHERS: Final = "w64 wav wma wv asf avi flv mkv mov mp4 mpeg mpg ts webm wmv 3gp"
_OF_A_RUN: Final = re.compile(r"(?:stems|uploads)/[0-9a-f]{16}/|stems/j[0-9a-f]{32}/")
"""Begins the keys of what a run over many tracks has sent, and of stems; see `Runner` and `Submission`."""
_AROUND: Final = " \t\r\ufeff"
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
    stamp: str = ""
    """What changes with its content: size and time of change; empty where that is not known."""

    @property
    def shown(self) -> str:
        """Return the name to show: as it was written, where the manifest has a whole path."""
        return str(self.path) if self.path is not None and Path(self.id).is_absolute() else self.id

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
        folder: Folder of the files; hidden ones are left out, and links to folders are not followed.
        without: The folder of the output, which may be below.

    Raises:
        ValueError: It is the folder itself, whose stems would be the next run's sources.
        OSError: A folder cannot be read.
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
    """Yield the media objects whose keys begin with a prefix.

    What runs have sent, and stems where jobs write them by default, are left out unless the prefix names
    them.
    """
    is_asked_for = _OF_A_RUN.match(prefix) is not None
    for found in bucket.list(prefix):
        if is_media(found.key) and (is_asked_for or not _OF_A_RUN.match(found.key)):
            folder = PurePosixPath(found.key.removeprefix(prefix).lstrip("/")).parent.as_posix()
            yield replace(_remote(found.key, folder), size=found.size, stamp=found.etag)


def text_of(line: str, is_object: Callable[[str], bool]) -> str:
    """Return a line of a list without white space around it, unless an object has it in its name."""
    text = line.strip(_AROUND)
    return line if text != line and text and is_object(line) else text


def in_list(
    lines: Iterable[str],
    *,
    base: Path,
    bucket: str,
    is_object: Callable[[str], bool] = lambda _: False,
) -> Iterator[Track]:
    """Yield the tracks of a list with a path, a key or ``s3://BUCKET/KEY`` on each line.

    A line that names a file of this machine is one; every other line is a key. Empty lines are left out, and
    those that begin with ``#`` and name no file.

    Args:
        lines: Lines of the list.
        base: Folder that relative paths begin at.
        bucket: Bucket that the jobs read from.
        is_object: Whether the bucket has an object of exactly this name.

    Raises:
        ValueError: A line names another bucket, or a folder.
    """
    start = f"s3://{bucket}/"
    for line in lines:
        # Names may begin or end with white space, or with the sign of a comment: the file decides.
        text = line if is_file(base / line) else text_of(line, is_object)
        if is_file(base / text):
            name = os.path.normpath(text)  # however it is spelled, it is one track with one {dir}
            folder = "" if Path(name).is_absolute() else PurePosixPath(name).parent.as_posix()
            yield _local(name, base / text, folder)
        elif not text or text.startswith("#"):
            continue
        elif is_folder(base / text):
            raise ValueError(f"{text} is a folder; each line of a list is a file or a key")
        elif text.startswith("s3://") and not text.startswith(start):
            raise ValueError(f"{text}: jobs read from the bucket {bucket}")
        else:
            key = text.removeprefix(start)
            yield _remote(key, PurePosixPath(key).parent.as_posix())


def lines_of(content: bytes) -> list[str]:
    """Return the lines of a list, whatever the encoding of the names; NUL also separates them.

    Args:
        content: Such as that of a file, or what ``find -print0`` writes.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if "\0" in text:
        return text.split("\0")
    return [line.removesuffix("\r") for line in text.split("\n")]


def named(paths: Sequence[Path]) -> Iterator[Track]:
    """Yield the tracks of files that were named one by one."""
    for path in paths:
        # Whole paths: a later run elsewhere may name other files with the same names.
        yield _local(path.resolve().as_posix(), path, "")


def of_job(job_id: str, source: str) -> Track:
    """Return the track that a job has separated."""
    return replace(_remote(source, ""), id=job_id)


def is_file(path: Path) -> bool:
    """Return whether there is a file; a name that no file can have names none."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; a name that no folder can have names none."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def is_media(name: str) -> bool:
    """Return whether the extension of a name is one of audio or video."""
    last = name.rpartition("/")[2]
    return not last.startswith(".") and last.rpartition(".")[2].lower() in EXTENSIONS


def _local(track: str, path: Path, folder: str) -> Track:
    size, stamp = None, ""
    with suppress(OSError):
        status = path.stat()
        size, stamp = status.st_size, f"{status.st_size} {status.st_mtime_ns}"
    name = safe_name(path.stem)
    return Track(track, path=path, folder=_folder(folder), name=name, size=size, stamp=stamp)


def _remote(key: str, folder: str) -> Track:
    return Track(key, key=key, folder=_folder(folder), name=safe_name(PurePosixPath(key).stem))


def _folder(text: str) -> str:
    parts = [safe_name(part) for part in text.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)
