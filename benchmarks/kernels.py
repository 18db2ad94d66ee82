"""Runs the benchmarks with the kernels of processors that have AVX2 and no AVX-512, on one that has both.

ONNX Runtime asks the processor itself what it can do, so no setting keeps it from AVX-512. `avx2` makes
copies of the packages with its library, in which the question after AVX-512 always fails, and lets the
programs that are started import these copies; numpy, OpenBLAS and oneDNN have settings. Optimised graphs fit
the kernels they were written with, so these programs get a folder of models of their own.

What remains is the processor: where it executes 512 bits in two halves its rates are near each other, and an
older processor has slower memory and other clocks. A result says so by its kernels.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.report import KERNELS as VARIABLE
from stemline.models.weights import MODELS_DIR_VARIABLE, default_directory

#: The library of ONNX Runtime in each package that has one.
_LIBRARIES: Final = {
    "onnxruntime": "capi/onnxruntime_pybind11_state*.so",
    "sherpa_onnx": "lib/libonnxruntime.so",
}
#: `test` of a register with the bit of AVX512F in leaf 7 of CPUID, and the jump past the kernels where it is
#: not set; the comparison with XCR0 behind it tells this question from others.
_QUESTION: Final = re.compile(
    rb"(\xf7[\xc0-\xc7])\x00\x00\x01\x00(\x74.{1,14}?(?:\xa8|\x25|\x83[\xe0-\xe7])\xe0)", re.DOTALL
)
#: The same, with no bit.
_ANSWER: Final = b"\\1\0\0\0\0\\2"
#: For numpy's loops, OpenBLAS' products and the convolutions of oneDNN, which TensorFlow uses.
_SETTINGS: Final = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX",
    "OPENBLAS_CORETYPE": "Haswell",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "STEMLINE_KERNELS": "avx2",
}


class UnknownLibrary(RuntimeError):
    """A library does not ask for AVX-512 in the form that is known."""


def without_avx512(content: bytes) -> bytes:
    """Return a library of ONNX Runtime whose question after AVX-512 always fails.

    Raises:
        UnknownLibrary: The question was not found.
    """
    patched, count = _QUESTION.subn(_ANSWER, content)
    if not count:
        raise UnknownLibrary
    return patched


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a program be asked for kernels."""
    parser.add_argument("--kernels", choices=["all", "avx2"], default="all", help="kernels that may be used")


@contextmanager
def used(kernels: str, *environments: Path) -> Iterator[str]:
    """Let the programs that are started use these kernels alone; give the suffix of the result's name.

    Args:
        kernels: `all`, or `avx2` without those for AVX-512.
        environments: Whose packages are copied for that; what is not installed there is not.

    Raises:
        UnknownLibrary: A library does not ask in the form that is known.
    """
    if kernels == "all":
        yield ""
        return
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for environment in environments:
            _copy_packages(environment, folder)
        models = folder / "models"
        shutil.copytree(default_directory(), models, ignore=shutil.ignore_patterns("graph-*"))
        path = [str(folder), os.environ.get("PYTHONPATH", "")]
        added = {"PYTHONPATH": os.pathsep.join(filter(None, path)), MODELS_DIR_VARIABLE: str(models)}
        os.environ.update(_SETTINGS | added | {VARIABLE: "AVX-512 kernels switched off"})
        try:
            yield f"-{kernels}"
        finally:
            os.environ.clear()
            os.environ.update(before)


def _copy_packages(environment: Path, folder: Path) -> None:
    """Copy the packages that hold ONNX Runtime, and let their libraries find no AVX-512."""
    for name, library in _LIBRARIES.items():
        for package in environment.glob(f"lib/python*/site-packages/{name}"):
            shutil.copytree(package, folder / name)
            if (beside := package.with_name(f"{name}.libs")).exists():
                shutil.copytree(beside, folder / beside.name)
            for path in (folder / name).glob(library):
                path.write_bytes(without_avx512(path.read_bytes()))
