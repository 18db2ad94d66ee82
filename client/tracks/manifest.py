"""The record of a run over many tracks: a file to which each step is added and synced to the disk.

Each line is a JSON object. The first one describes the run, and another such line follows where its options
were corrected; every other one holds a track and what became of it. The latest line of each counts. A line
that was not written whole, as after a loss of power, is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stemline.client.errors import ClientError
from stemline.client.tracks.entry import Entry, digest

NAME: Final = "stemline-manifest.jsonl"
_VERSION: Final = 1
_RUN: Final = {"run", "parameters"}
"""What a line of the run holds, and that of a track does not."""
_WITHOUT_JOB: Final = frozenset({"new", "sending", "failed"})
"""States of tracks for which no job can be there, if none is noted."""


class ManifestError(ClientError):
    """The manifest belongs to something else, is used by another process or is damaged."""


class ManifestInUse(ManifestError):
    """Another process works with the manifest now."""


class Manifest:
    """The manifest of one run; one process at a time holds it.

    Attributes:
        run_id: A part of every key and idempotency key of the run.
        entries: What became of each track, by its name.
    """

    def __init__(self, path: Path, source: str, parameters: Mapping[str, Any]) -> None:
        """Open the file, or begin it.

        Args:
            path: Path of the file.
            source: Where the tracks come from.
            parameters: Parameters of their jobs.

        Raises:
            ManifestError: It is for another source, or other parameters made its jobs; in use, or
                not a manifest.
            OSError: It cannot be written; one that was begun is removed.
        """
        self.path = path
        self.run_id = ""
        self.entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        self._file = path.open("a+b")
        try:
            self._lock_file()
            self._load(source, json.loads(json.dumps(dict(parameters))))
        except BlockingIOError:
            self._file.close()
            raise _in_use(path) from None
        except BaseException as error:
            with suppress(OSError):  # what the disk did not take is not tried again
                self._file.close()
            if is_new and isinstance(error, OSError):
                path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        """Return the manifest."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; what could not be written to it has been said already."""
        with suppress(OSError):
            self._file.close()

    def entry(self, track: str) -> Entry:
        """Return what became of a track; a new entry for one that is not in the file."""
        return self.entries.get(track) or Entry(track)

    def put(self, entry: Entry) -> Entry:
        """Write what became of a track, and return when it is on the disk."""
        values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
        line = {name: value for name, value in values.items() if value or value == 0}
        with self._lock:
            self._append(line)
            self.entries[entry.track] = entry
        return entry

    def begin(self, entry: Entry, key: str) -> Entry:
        """Note, before anything is sent, that a track is going to be submitted.

        Args:
            entry: The track, with its turn and the place of its stems; those of an earlier turn stay its own.
            key: Key of its source.
        """
        begun = replace(entry, state="sending", at=time.time(), key=key, job="", code="", message="")
        return self.put(begun)

    def sent(self, entry: Entry, key: str) -> Entry:
        """Note the key of the object that a track is in; only now may it be submitted."""
        return self.put(replace(entry, state="sent", key=key))

    def unsent(self, entry: Entry) -> Entry:
        """Note that a track has no job: none was asked for, or the service refused what all jobs ask for."""
        return self.put(replace(entry, state="sending", job=""))

    def submitted(self, entry: Entry, job: str) -> Entry:
        """Note the job of a track."""
        return self.put(replace(entry, state="submitted", job=job))

    def done(self, entry: Entry, duration_s: float | None) -> Entry:
        """Note that the stems of a track are here.

        Args:
            entry: The track, with its files and their sizes.
            duration_s: Length of its source.
        """
        return self.put(replace(entry, state="done", code="", message="", duration_s=duration_s))

    def failed(self, entry: Entry, code: str, message: str) -> Entry:
        """Note why a track has no stems."""
        return self.put(replace(entry, state="failed", code=code, message=message))

    def again(self, entry: Entry) -> Entry:
        """Note that the job of a track was cancelled, and that its object is to be submitted again."""
        return self.put(replace(entry, state="sent", turn=entry.turn + 1, at=time.time(), job=""))

    def forget(self) -> None:
        """Remove the file of a run in which no track was begun: any other run may use the folder."""
        if not self.entries:
            self.path.unlink(missing_ok=True)

    def idempotency_key(self, entry: Entry) -> str:
        """Return the key of a track's submission: the same for each repetition of the same turn."""
        return f"{self.run_id}-{digest(entry.track)}-{entry.turn}"

    def _lock_file(self) -> None:
        """Keep other processes from the file.

        Raises:
            BlockingIOError: One uses it, or has removed it since it was opened.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(self._file.fileno()).st_nlink:
            raise BlockingIOError

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:  # which names no file of its own
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _load(self, source: str, parameters: Mapping[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        lines = whole.splitlines()
        if not lines:
            self.run_id = secrets.token_hex(8)
            self._append(self._run(source, parameters))
            _sync_folder(self.path.parent)
            return
        before, self.entries = _parsed(self.path, lines)
        self.run_id = before["run"]
        _check_same(self.path, before, self.entries, source, parameters)
        if before["parameters"] != parameters:
            self._append(self._run(source, parameters))

    def _run(self, source: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"version": _VERSION, "run": self.run_id, "source": source, "parameters": parameters}


def look(path: Path, source: str, parameters: Mapping[str, Any]) -> dict[str, Entry]:
    """Return what became of each track, without changing the file; nothing if there is none.

    Args:
        path: Path of the file.
        source: Where the tracks of a run would come from.
        parameters: Parameters of their jobs.

    Raises:
        ManifestError: That run would be refused, as :class:`Manifest` says.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            content = file.read()
    except FileNotFoundError:
        return {}
    except BlockingIOError:
        raise _in_use(path) from None
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        return {}
    before, entries = _parsed(path, lines)
    _check_same(path, before, entries, source, json.loads(json.dumps(dict(parameters))))
    return entries


def _in_use(path: Path) -> ManifestInUse:
    return ManifestInUse(f"{path} is in use by another `stemline submit`")


def _check_same(
    path: Path, before: Mapping[str, Any], entries: Mapping[str, Entry], source: str, parameters: Any
) -> None:
    """Check that a run is the one of a manifest.

    Raises:
        ManifestError: It is for another source, or other parameters made its jobs.
    """
    pairs = [("source", source, before.get("source"))]
    if any(entry.job or entry.state not in _WITHOUT_JOB for entry in entries.values()):
        known = before["parameters"]
        pairs += [(name, parameters.get(name), known.get(name)) for name in sorted({*parameters, *known})]
    for what, now, then in pairs:
        if now != then:
            raise ManifestError(
                f"{path} is of a run with the {what} {then!r}, not {now!r}: "
                "use the same options again, or another folder for the output"
            )


def _parsed(path: Path, lines: Sequence[bytes]) -> tuple[dict[str, Any], dict[str, Entry]]:
    try:
        found = list(map(json.loads, lines))
        if found[0].keys() >= _RUN:
            runs = [line for line in found if line.keys() >= _RUN]
            return runs[-1], {line["track"]: Entry(**line) for line in found if not line.keys() >= _RUN}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ManifestError(f"{path} is not a manifest; move it away to begin anew")


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on the disk too."""
    with _opened(folder) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
