"""Shared metrics chosen at run time: prometheus_client decides when it is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from prometheus_client import values

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_values() -> str:
    """Keep the values of metrics made from now on in files that this process and its children share.

    The folder is the one of PROMETHEUS_MULTIPROC_DIR, or a new one that is removed when this process ends.

    Returns:
        The folder.
    """
    folder = os.environ.get(FOLDER_VARIABLE) or _make_folder()
    vars(values)["ValueClass"] = values.get_value_class()  # type: ignore[no-untyped-call]
    return folder


def _make_folder() -> str:
    folder, owner = tempfile.mkdtemp(prefix="stemline-metrics-"), os.getpid()
    os.environ[FOLDER_VARIABLE] = folder

    def remove() -> None:
        if os.getpid() == owner:  # a forked child inherits this handler, not the folder
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
