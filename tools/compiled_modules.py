"""Link the compiled modules of one environment into another.

    python -m tools.compiled_modules ENVIRONMENT OTHER

Python would compile each module again when it is first imported: seconds of processor time for the libraries
of the tests, in each of the processes that start at the same time.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_PACKAGES = "lib/python3.*/site-packages"


def share(environment: Path, other: Path) -> None:
    """Link what `environment` holds for the same modules of `other`, except for Stemline's own.

    Python compiles again what does not fit its source or its version.
    """
    (own,), (there,) = environment.glob(_PACKAGES), other.glob(_PACKAGES)
    for cache in own.rglob("__pycache__"):
        target = there / cache.relative_to(own)
        is_ours = own / "stemline" in cache.parents
        if not is_ours and target.parent.is_dir() and not target.exists():
            shutil.copytree(cache, target, copy_function=os.link)


if __name__ == "__main__":
    share(Path(sys.argv[1]), Path(sys.argv[2]))
