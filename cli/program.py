"""How the user calls this program, for hints that can be copied."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

_NAME = "stemline"


@cache
def program() -> str:
    """Return the command as it works in the user's shell: its name, or the path of its script."""
    script = Path(sys.prefix, "bin", _NAME)
    if os.environ.get("VIRTUAL_ENV") == sys.prefix or not script.exists():
        return _NAME
    found = shutil.which(_NAME, path=_path_of_the_shell(script.parent))
    if found and script.samefile(found):
        return _NAME
    shown = os.path.relpath(script)
    is_short = not shown.startswith("..") and Path.cwd() != Path(
        "/"
    )  # there, as for services, it only confuses
    return shlex.quote(shown if is_short else str(script))


def spelled(text: str) -> str:
    """Return a text for people in which commands between backquotes are as :func:`program` says."""
    return text.replace(f"`{_NAME} ", f"`{program()} ")


def _path_of_the_shell(folder: Path) -> str:
    """Return PATH without what `make` puts before it: the folder of the script."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    while "MAKELEVEL" in os.environ and folders[0] == str(folder):
        folders = folders[1:] or [""]
    return os.pathsep.join(folders)
