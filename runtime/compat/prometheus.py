"""prometheus_client: values shared between processes, chosen at run time, of live ones only, on any disk."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, mmap_dict, multiprocess, values

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_BYTES = 1 << 18
"""Space of a new file: that of a thousand values and more."""


def share_values() -> str:
    """Keep the values of metrics made from now on in files that this process and its children share.

    prometheus_client decides for files or memory when it is imported, by an environment variable
    (prometheus/client_python#886). Here a process decides after it has read its settings.

    Returns:
        The folder of the files: that of PROMETHEUS_MULTIPROC_DIR, or a new one that is removed when this
        process ends.
    """
    folder = os.environ.get(FOLDER_VARIABLE) or _make_folder()
    vars(values)["MmapedDict"] = _ReservedFile
    vars(values)["ValueClass"] = values.get_value_class()  # type: ignore[no-untyped-call]
    return folder


class _ReservedFile(mmap_dict.MmapedDict):
    """The values of a process, in a file whose space is taken when it is made.

    prometheus_client maps a file without any: on a full disk the first value that is written to a page kills
    the process with SIGBUS. Where there is no space, the values stay in memory, and nobody else reads them.
    """

    def __init__(self, filename: str) -> None:
        """Open or make the file."""
        path = Path(filename)
        new = path.with_suffix(".new")  # whose name no scrape looks for
        try:
            if not path.exists():
                with new.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, _BYTES)
                new.rename(path)
            super().__init__(filename)  # type: ignore[no-untyped-call]
        except OSError:
            new.unlink(missing_ok=True)
            memory = os.memfd_create(path.name)
            super().__init__(f"/proc/self/fd/{memory}")  # type: ignore[no-untyped-call]
            os.close(memory)


def _make_folder() -> str:
    folder, owner = tempfile.mkdtemp(prefix="stemline-metrics-"), os.getpid()
    os.environ[FOLDER_VARIABLE] = folder

    def remove() -> None:
        if os.getpid() == owner:  # a forked child inherits this handler, not the folder
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


class SharedValues(multiprocess.MultiProcessCollector):
    """Collects the values of all processes, gauges only of those that live.

    ``mark_process_dead`` wants the id of each process that ended, and a killed one cannot report it. So the
    ids are read from the files' names, ``gauge_live…_<pid>.db``.
    """

    def __init__(self, registry: CollectorRegistry, folder: str) -> None:
        """Collect into a registry from the folder of :func:`share_values`."""
        self._folder = folder
        super().__init__(registry, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Forget the gauges of dead processes, then add up."""
        files = Path(self._folder).glob("gauge_live*_*.db")
        for pid in {int(file.stem.rpartition("_")[2]) for file in files}:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                with suppress(FileNotFoundError):  # another scrape was faster
                    multiprocess.mark_process_dead(pid, self._folder)  # type: ignore[no-untyped-call]
            except PermissionError:
                continue
        metrics: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
        return metrics
