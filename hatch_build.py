"""Compile separation/native/*.c while the package is built: one library for each instruction set.

A wheel holds them, an editable installation has them in the checkout. The variable `STEMLINE_NATIVE` says
what is wanted: `auto`, which is the default, warns where something cannot be compiled, `require` fails there,
and `off` compiles nothing. `CC` names the C compiler.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

FOLDER = "stemline/separation/native"
#: By instruction set: the options that allow it, and none that the libraries do not ask the processor for.
VARIANTS: dict[str, tuple[str, ...]] = {
    "base": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": (
        *("-mavx2", "-mfma"),
        *("-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"),
    ),
}
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fPIC",
    "-shared",
)


def find_compiler() -> list[str]:
    """Return the command of the C compiler, none of its words where there is no compiler."""
    if named := shlex.split(os.environ.get("CC", "")):
        return named
    # Without the command line tools, macOS' own cc opens a window that asks whether to install them.
    if (
        sys.platform == "darwin"
        and subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode
    ):
        return []
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), [])


def platform_tag() -> str:
    """Return the tag of the wheels that are for this platform alone."""
    of_index = ("manylinux", "musllinux")  # promises about other machines
    return next(tag.platform for tag in sys_tags() if not tag.platform.startswith(of_index))


def variants_of(platform: str) -> list[str]:
    """Return the instruction sets for which there is a library on a platform."""
    return list(VARIANTS) if platform.endswith(("x86_64", "amd64")) else ["base"]


def library(folder: Path, variant: str) -> Path:
    """Return the file of a library; with a second dot it is not taken for a module of Python."""
    return folder / f"kernels.{variant}.so"


def compile_libraries(
    sources: Path, folder: Path, variants: list[str], options: tuple[str, ...] = ()
) -> list[str]:
    """Compile the libraries into a folder, all at the same time, with further options.

    Returns:
        What went wrong, one line each. Without the base library the others are removed: it says which of them
        the processor can run.
    """
    if not (compiler := find_compiler()):
        return ["there is no C compiler (cc, gcc or clang)"]
    if not shutil.which(compiler[0]):
        return [f"CC names {compiler[0]}, which is not there"]
    identity = "".join(f'const char {name}[] = "{value}";\n' for name, value in identities(sources).items())

    def compile_one(variant: str) -> str:
        target = library(folder, variant)
        new = target.with_suffix(".new.so")
        # Relative names, so that the library does not depend on where it is compiled.
        inputs = [*sorted(file.name for file in sources.glob("*.c")), "-x", "c", "-"]
        command = [*compiler, *FLAGS, *VARIANTS[variant], *options, *inputs, "-lm", "-o", os.fspath(new)]
        new.unlink(missing_ok=True)
        try:
            done = subprocess.run(
                command,
                cwd=sources,
                input=identity,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            return str(error)
        if done.returncode:
            said = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[:3])
            return f"{shlex.join(compiler)} ended with status {done.returncode}: {said}"
        if not new.exists():
            return f"{shlex.join(compiler)} wrote no library"
        new.replace(target)  # processes that use the old one keep it
        return ""

    with ThreadPoolExecutor(len(variants)) as executor:
        reasons = dict(zip(variants, executor.map(compile_one, variants), strict=True))
    if not library(folder, "base").exists():
        remove_libraries(folder)
    return [
        f"{', '.join(name for name in variants if reasons[name] == reason)}: {reason}"
        for reason in dict.fromkeys(filter(None, reasons.values()))
    ]


def fingerprint(sources: Path) -> str:
    """Return the SHA-256 of the sources, as separation/native/library.py does."""
    files = sorted(sources.glob("*.[ch]"))
    return hashlib.sha256(
        b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)
    ).hexdigest()


def identities(sources: Path) -> dict[str, str]:
    """Return what a library says about itself, by the name of its variable: what it was made from.

    separation/native/library.py compares the sources; how, and for which platform, matters here alone.
    """
    how = hashlib.sha256(Path(__file__).read_bytes() + platform_tag().encode()).hexdigest()
    return {"kernels_sources": fingerprint(sources), "kernels_build": how}


def remove_libraries(folder: Path) -> None:
    """Remove what was compiled into a folder."""
    for file in folder.glob("kernels.*.so"):
        file.unlink()


def are_current(sources: Path, folder: Path, variants: list[str]) -> bool:
    """Return whether all libraries are there, and made from these sources for this platform.

    Their times say nothing: sources that were copied or unpacked may be older than the libraries.
    """
    expected = [value.encode() for value in identities(sources).values()]
    files = [library(folder, variant) for variant in variants]
    return all(file.exists() and all(each in file.read_bytes() for each in expected) for file in files)


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds the libraries to the wheel, or to the checkout of an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the wheel is written."""
        wanted = os.environ.get("STEMLINE_NATIVE") or "auto"
        if wanted not in {"auto", "require", "off"}:
            raise ValueError(f"STEMLINE_NATIVE is {wanted!r}; it may be auto, require or off")
        sources = Path(self.root, "src", FOLDER)
        platform = platform_tag()
        variants = variants_of(platform)
        self._scratch = (
            None if version == "editable" else tempfile.TemporaryDirectory(prefix="stemline-native-")
        )
        folder = Path(self._scratch.name) if self._scratch else sources
        if wanted == "off":
            remove_libraries(folder)
            return
        if not are_current(sources, folder, variants):
            remove_libraries(folder)
            self._report(compile_libraries(sources, folder, variants), required=wanted == "require")
        built = [each for each in variants if library(folder, each).exists()]
        if self._scratch and built:
            build_data["force_include"].update(
                {os.fspath(library(folder, each)): f"{FOLDER}/kernels.{each}.so" for each in built}
            )
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"

    def _report(self, failures: list[str], *, required: bool) -> None:
        if failures and required:
            self._remove_scratch()
            raise RuntimeError(
                "STEMLINE_NATIVE=require, but not everything was compiled: " + "; ".join(failures)
            )
        if failures:
            self.app.display_warning(
                f"Compiled kernels are missing, so that separation takes longer: {'; '.join(failures)}. "
                "Install gcc or clang and build again; STEMLINE_NATIVE=off builds without them."
            )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was only needed while the wheel was written."""
        self._remove_scratch()

    def _remove_scratch(self) -> None:
        if self._scratch:
            self._scratch.cleanup()
