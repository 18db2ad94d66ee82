"""Names of the files that stems are put into."""

from __future__ import annotations

import os
import re
import secrets
import string
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from stemline.client.errors import TransferFailed
from stemline.client.job import Job
from stemline.wire.letters import is_writable

DEFAULT_PATTERN: Final = "{dir}/{name}-{stem}.{ext}"
FIELDS: Final = ("stem", "name", "dir", "jobid", "ext")
_FIELD: Final = re.compile(r"\{(" + "|".join(FIELDS) + r")\}")
_MAX_NAME_BYTES: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f/\\]")


def check_pattern(pattern: str) -> None:
    """Check a pattern of file names.

    Raises:
        ValueError: It has an unknown field, or no name.
    """
    try:
        parsed = [each for each in string.Formatter().parse(pattern) if each[1] is not None]
    except ValueError as error:
        raise ValueError(f"{pattern} is not a pattern of names: {error}") from None
    fields = [str(field) for _, field, _, _ in parsed]
    if any(spec or turn for _, _, spec, turn in parsed):
        raise ValueError(
            f"{pattern} is not a pattern of names: a field is its name in braces, and nothing else"
        )
    if unknown := sorted(set(fields) - set(FIELDS)):
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise ValueError(f"{{{unknown[0]}}} is unknown; a pattern may hold {known}")
    if not pattern.strip() or pattern.endswith("/"):
        raise ValueError("a pattern of names ends with the name of a file")
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern} leads out of the folder of the output; -o names the folder")


def fill(pattern: str, values: Mapping[str, str]) -> PurePosixPath:
    """Return a relative path from a pattern; it never leads out of its folder."""
    filled = _FIELD.sub(lambda found: values.get(found[1], ""), pattern)
    parts = [part for part in filled.split("/") if part not in {"", ".", ".."}]
    return PurePosixPath(*parts) if parts else PurePosixPath("stem")


def file_names(
    job: Job, folder: Path, pattern: str = DEFAULT_PATTERN, values: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Return the files of a job's stems by their names.

    Args:
        job: Job that has succeeded.
        folder: Folder that holds them.
        pattern: Pattern of their names.
        values: Other values than those of the source's key, for ``name`` and ``dir``.

    Raises:
        ValueError: The pattern gives two stems the same file.
    """
    source = PurePosixPath(job.source)
    files: dict[str, Path] = {}
    given = {"name": safe_name(source.stem), "dir": "", "jobid": job.id, **(values or {})}
    for stem in job.stems:
        names = {**given, "stem": safe_name(stem.name), "ext": safe_name(stem.extension)}
        path = folder / fill(pattern, names)
        if path in files.values():
            raise ValueError(f"{pattern} gives two stems the same file; add {{stem}}")
        files[stem.name] = path
    return files


def check_free(paths: Iterable[Path]) -> None:
    """Check that there is no file where stems would be put.

    Raises:
        TransferFailed: There is one.
    """
    for path in paths:
        if os.path.lexists(path):
            raise TransferFailed(f"{path} is there already")


def new_key(name: str) -> str:
    """Return a key for a file that nothing else in the bucket has; it begins with the present time."""
    return f"uploads/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}/{safe_name(name)}"


def is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8; names of files need not be."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def safe_name(name: str, max_bytes: int = _MAX_NAME_BYTES) -> str:
    """Return a name that every file system and store takes: without control characters, not too long."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = "".join(each if is_writable(each) else "_" for each in _CONTROL.sub("_", text)).strip() or "_"
    text = "_" if text in {".", ".."} else text
    return text.encode()[:max_bytes].decode("utf-8", "ignore")
