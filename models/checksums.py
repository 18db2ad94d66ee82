"""Checksums of files that are known from before, so that a program which starts need not read them again.

They are kept in a folder of this user alone: whoever can write into the model directory, which may be a
shared volume, must not be able to change both a file and what is known of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from stemline.models.weights import sha256, write_atomically

#: A file that changed less than this before it was read may change again without a new time, ns.
_SETTLED_NS = 2_000_000_000


def known_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; it is read only if it changed since this was last asked.

    A file is the same while its place, inode, size and times are, of which the time of its last change of
    status cannot be set by programs.

    Raises:
        OSError: The file cannot be read.
    """
    identity = " ".join(map(str, identity_of(path)))
    record = None
    with suppress(OSError, ValueError):
        record = checksum_directory() / f"{place(path)}.known"
        known, digest = record.read_text().splitlines()
        if known == identity and is_private(record.parent):
            return digest
    began_ns = time.time_ns()
    digest = sha256(path)
    status = path.stat()
    settled = began_ns - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS
    if record is not None and settled and " ".join(map(str, identity_of(path))) == identity:
        with suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if is_private(record.parent):
                write_atomically(record, f"{identity}\n{digest}\n".encode())
    return digest


def identity_of(path: Path) -> tuple[int, ...]:
    """Return what changes with a file, whatever a program sets its times to: the last number does at least.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def place(path: Path) -> str:
    """Return a name for what is known of the file at `path`."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()


def checksum_directory() -> Path:
    """Return the folder of checksums, in the state of this user.

    Raises:
        FileNotFoundError: The user has no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(state).expanduser() / "stemline" / "graphs"
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, "no home directory; set HOME or XDG_STATE_HOME") from error


def is_private(folder: Path) -> bool:
    """Return whether a folder is this user's, and nobody else may write to it."""
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not shared
