"""Check the C of separation/native, or compile it for its tests.

    python -m tools.native lint
    python -m tools.native sanitized FOLDER

`lint` compiles for each instruction set with each compiler that is here, and writes nothing; a warning is an
error. `sanitized` writes libraries that end the process where memory is misused or a value is undefined;
the process needs the sanitizer's own library first, in LD_PRELOAD.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hatch_build

_SOURCES = Path(__file__).parents[1] / "separation" / "native"
_WARNINGS = (
    *("-Wall", "-Wextra", "-Wstrict-prototypes", "-Wvla", "-Werror"),
    # The libraries call themselves only: how vectors are passed is no matter between compilers.
    "-Wno-psabi",
)
_SANITIZED = (
    "-g",
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


def compilers() -> list[str]:
    """Return the C compilers that are here."""
    return [name for name in ("gcc", "clang") if shutil.which(name)]


def lint() -> list[str]:
    """Return the warnings of all compilers for all instruction sets."""
    found = []
    for compiler in compilers():
        for variant in hatch_build.variants_of(hatch_build.platform_tag()):
            options = ("-std=gnu11", *hatch_build.VARIANTS[variant], *_WARNINGS)
            for source in sorted(_SOURCES.glob("*.c")):
                # Not -fsyntax-only, with which GCC finds no unused function.
                command = [compiler, *options, "-S", "-o", os.devnull, source.name]
                done = subprocess.run(command, cwd=_SOURCES, capture_output=True, text=True, check=False)
                if done.returncode:
                    found.append(f"{compiler}, {variant}:\n{done.stderr}")
    return found


def sanitized(folder: Path) -> list[str]:
    """Compile the libraries with sanitizers into a folder; return what went wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    # With the sources beside them, which a library is compared with when it is loaded.
    shutil.copytree(_SOURCES, folder, ignore=shutil.ignore_patterns("*.so", "*.py*", "__pycache__"))
    variants = hatch_build.variants_of(hatch_build.platform_tag())
    return hatch_build.compile_libraries(folder, folder.resolve(), variants, _SANITIZED)


def main(words: list[str]) -> str | None:
    """Return what is wrong, for `sys.exit`."""
    failures = lint() if words[0] == "lint" else sanitized(Path(words[1]))
    return "\n".join(failures) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
