"""The files that `stemline separate` separates, and where their stems go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from glob import escape, glob
from pathlib import Path

import click

from stemline.cli.exits import CommandFailed
from stemline.cli.output import printable
from stemline.cli.statuses import NOT_FOUND

_ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to separate."""

    path: Path
    folder: Path
    """Of its stems."""
    name: str
    """Beginning of their names."""

    def stem(self, instrument: str, extension: str) -> Path:
        """Return the file of one of its stems."""
        return self.folder / f"{self.name}-{instrument}.{extension}"


def source_files(sources: Sequence[str], output: Path | None) -> list[SourceFile]:
    """Return the files that sources mean, each once, with names such that no two have the same stems.

    Args:
        sources: Files, folders, which are searched for media files, and patterns.
        output: Folder of the stems; by default the current one for a single file.

    Raises:
        CommandFailed: There is no such file.
        click.UsageError: A source is no file, or the folder is missing.
    """
    files = _found(sources, output or Path())
    if output is None and (len(files) > 1 or Path(sources[0]) != files[0].path):
        raise click.UsageError("give a folder for the stems with -o")
    return files


def _found(sources: Sequence[str], output: Path) -> list[SourceFile]:
    found: dict[Path, SourceFile] = {}
    for source in sources:
        path = Path(source)
        matching = [path] if _exists(path) else sorted(_matching(path))
        files = [SourceFile(each, output, each.stem) for each in matching if each.is_file()]
        for folder in (each for each in matching if each.is_dir()):
            files += _inside(folder, output)
        if not files:
            if _exists(path) and not path.is_dir():
                raise click.UsageError(
                    f"{printable(source)} is a pipe or a device, not a file: write its audio to a file first"
                )
            raise CommandFailed(
                f"there is no file {printable(source)}, nor a folder or a pattern with one",
                hint="give files of this machine; `stemline submit` takes keys of a bucket too",
                status=NOT_FOUND,
            )
        for file in files:  # also under other spellings and links
            found.setdefault(file.path.resolve(), file)
    return _distinct(list(found.values()))


def check_stems(files: Sequence[SourceFile], instruments: Sequence[str], extension: str) -> None:
    """Refuse stems that would replace a source, or each other.

    Args:
        files: All files to separate.
        instruments: Names of the stems that each has.
        extension: Extension of their files.

    Raises:
        click.UsageError: A stem has the place of a source, whatever it is spelled like, or of another stem.
    """
    sources = {identity: file.path for file in files if (identity := _identity(file.path))}
    taken: dict[Path, Path] = {}
    for file in files:
        for instrument in instruments:
            stem = file.stem(instrument, extension)
            if (identity := _identity(stem)) and identity in sources:
                raise click.UsageError(
                    f"the stem {_shown(stem)} would replace the source {_shown(sources[identity])};"
                    " choose another folder with --output"
                )
            place = stem.parent.resolve() / stem.name
            if place in taken:
                raise click.UsageError(
                    f"{_shown(taken[place])} and {_shown(file.path)} would have the same stem {_shown(stem)}"
                )
            taken[place] = file.path


def _matching(pattern: Path) -> Iterator[Path]:
    """Yield the paths that a pattern matches.

    As in a shell, `**` goes through folders and not through links to folders, which may lead in circles.
    """
    parts = pattern.parts
    if _ANY_DEPTH not in parts:
        yield from map(Path, glob(str(pattern)))  # noqa: PTH207 - also absolute patterns
        return
    at = parts.index(_ANY_DEPTH)
    rest = [part for number, part in enumerate(parts) if number > at]
    while rest[:1] == [_ANY_DEPTH]:
        rest = rest[1:]
    for top in glob(str(Path(*parts[:at]))):  # noqa: PTH207
        for parent, folders, files in os.walk(top):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            if rest:
                yield from (
                    each for each in _matching(Path(escape(parent), *rest)) if not _links_to_folder(each)
                )
            else:
                yield from (Path(parent, each) for each in files if not each.startswith("."))


def _links_to_folder(path: Path) -> bool:
    return path.is_symlink() and path.is_dir()


def _exists(path: Path) -> bool:
    """Return whether there is a file or folder of this name, which may be too long for one."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _inside(folder: Path, output: Path) -> Iterator[SourceFile]:
    """Yield the media files below a folder; their stems keep its folders.

    Raises:
        click.UsageError: The output is the folder itself.
    """
    from stemline.client.tracks.sources import in_folder

    try:
        for track in in_folder(folder, without=output):
            if (path := track.path) is not None:
                yield SourceFile(path, output / path.parent.relative_to(folder), path.stem)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _distinct(files: list[SourceFile]) -> list[SourceFile]:
    """Return files with other names where they would have the same stems, as `submit` names them."""
    if len(files) == 1:
        return files
    from stemline.client.tracks.places import placed
    from stemline.client.tracks.sources import Track

    tracks = [Track(str(each.path), each.path, folder=str(each.folder), name=each.name) for each in files]
    named = {track.id: track.name for track in placed(tracks, {}, "{dir}/{name}-{stem}.{ext}")}
    return [replace(each, name=named[str(each.path)]) for each in files]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, which all its names share; None if there is no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _shown(path: Path) -> str:
    return printable(str(path))
