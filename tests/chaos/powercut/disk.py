"""A disk under Valkey that loses what was not synced, through a shim in the server."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PAGE: Final = 4096
"""What a disk writes in one piece, bytes."""
_SHIM: Final = Path(__file__).with_name("shim.c")


class NotModelled(Exception):
    """The server did something with its files that the shim does not follow."""


def build_shim(folder: Path) -> Path:
    """Compile the shim and return the library.

    Raises:
        FileNotFoundError: There is no C compiler.
    """
    library = folder / "powercut.so"
    command = ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SHIM), "-ldl"]
    subprocess.run(command, check=True)
    return library


@dataclass
class Damage:
    """What cuts did."""

    dropped_bytes: int = 0
    torn: int = 0
    """Files whose tail was cut off within what was not synced."""
    holes: int = 0
    """Files with pages of zeros, because a later page was written first."""
    undone: int = 0
    """Changes of folders that were undone."""


@dataclass
class Disk:
    """The folder of a server, and what of it is durable."""

    root: Path
    library: Path
    damage: Damage = field(default_factory=Damage)

    def __post_init__(self) -> None:
        """Make an empty disk."""
        self.folder = self.root / "disk"
        self.folder.mkdir(parents=True)
        # A server makes this folder once, at its first start; nothing was answered before.
        (self.folder / "appendonlydir").mkdir()
        self.plug_in()

    @property
    def _graves(self) -> Path:
        return self.root / "graves"

    def plug_in(self) -> None:
        """Begin again: everything that the folder holds is durable."""
        shutil.rmtree(self._graves, ignore_errors=True)
        self._graves.mkdir()
        (self.root / "journal").unlink(missing_ok=True)
        self._durable = {
            str(path.relative_to(self.folder)): path.stat().st_ino for path in _files(self.folder)
        }
        self._synced = {path.stat().st_ino: path.stat().st_size for path in _files(self.folder)}

    def environment(self, *, calls: int, sync_us: int) -> Mapping[str, str]:
        """Return the variables of a server on this disk.

        Args:
            calls: After which it kills itself; 0 for never.
            sync_us: Longest time of a sync, µs.
        """
        return {
            "LD_PRELOAD": str(self.library),
            "POWERCUT_FOLDER": str(self.folder),
            "POWERCUT_JOURNAL": str(self.root / "journal"),
            "POWERCUT_GRAVES": str(self._graves),
            "POWERCUT_CALLS": str(calls),
            "POWERCUT_SYNC_US": str(sync_us),
        }

    def cut(self, chance: random.Random) -> None:
        """Leave of the files what a power cut leaves; the server is dead.

        Changes of folders since the last sync of one are kept up to one of them, as file systems with a
        journal do. Of what a file got since its last sync, any pages are kept, up to a byte.

        Raises:
            NotModelled: The server wrote over what it had synced.
        """
        entries = self._entries(chance)
        kept = {path.stat().st_ino: path for path in [*_files(self.folder), *_files(self._graves)]}
        after = Path(tempfile.mkdtemp(dir=self.root))
        for name, inode in entries.items():
            target = after / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._copy(kept[inode], target, self._synced.get(inode, 0), chance)
        (after / "appendonlydir").mkdir(exist_ok=True)
        shutil.rmtree(self.folder)
        after.rename(self.folder)
        self.plug_in()

    def _entries(self, chance: random.Random) -> dict[str, int]:
        """Read the journal, and return which file has which name after the cut."""
        entries, waiting = dict(self._durable), list[tuple[int, list[str]]]()
        position = 0
        journal = self.root / "journal"
        for line in journal.read_text().splitlines(keepends=True) if journal.exists() else []:
            kind, *rest = line.split()
            if kind == "S":
                self._synced[int(rest[0])] = max(self._synced.get(int(rest[0]), 0), int(rest[1]))
            elif kind == "T":
                self._synced[int(rest[0])] = min(self._synced.get(int(rest[0]), 0), int(rest[1]))
            elif kind == "D":
                while waiting and waiting[0][0] < int(rest[0]):
                    _change(entries, waiting.pop(0)[1])
            elif kind == "O":
                if int(rest[1]) < self._synced.get(int(rest[0]), 0):
                    raise NotModelled(line)
            else:
                waiting.append((position, [kind, *rest]))
            position += len(line)
        kept = chance.randint(0, len(waiting))
        self.damage.undone += len(waiting) - kept
        for _, change in waiting[:kept]:
            _change(entries, change)
        return entries

    def _copy(self, source: Path, target: Path, synced: int, chance: random.Random) -> None:
        data = source.read_bytes()
        synced = min(synced, len(data))
        end = chance.choice((synced, len(data), chance.randint(synced, len(data))))
        kept = bytearray(data[:end])
        is_whole, share = chance.random() < 0.5, chance.random()
        for start in range(synced - synced % PAGE, end, PAGE):
            first, last = max(start, synced), min(start + PAGE, end)
            if not is_whole and chance.random() < share:
                kept[first:last] = bytes(last - first)
        self.damage.dropped_bytes += len(data) - end
        self.damage.torn += synced < end < len(data)
        self.damage.holes += bytes(kept) != data[:end]
        target.write_bytes(bytes(kept))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _change(entries: dict[str, int], change: list[str]) -> None:
    kind, inode, *names = change
    if kind == "C":
        entries[names[0]] = int(inode)
    elif kind == "R":
        entries.pop(names[0], None)
        entries[names[1]] = int(inode)
    else:
        entries.pop(names[0], None)
