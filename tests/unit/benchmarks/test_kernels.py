"""Copies of ONNX Runtime that use no AVX-512."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from benchmarks import kernels
from benchmarks.report import KERNELS, machine
from stemline.models.weights import MODELS_DIR_VARIABLE

#: What compilers make of "has it AVX512F, and are its registers enabled?", with what the jump leads past.
QUESTIONS = [
    "41f7c200000100 740e 4c89c0 48f7d0 a8e0 0f8454010000",
    "41f7c200000100 7414 4c89c0 25e0000000 483de0000000 0f84dd000000",
    "f7c200000100 7410 4889f8 83e0e0 4883f8e0",
]
#: The same test of a register where no answer of XCR0 follows.
OTHER = "f7c200000100 7410 4889f8 c3 9090909090909090909090909090"


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_always_fails(question: str) -> None:
    """The tested bit is cleared, so that the jump is taken; nothing else changes."""
    content = b"\x90" * 5 + bytes.fromhex(OTHER + question) + b"\xc3"
    at = content.index(b"\xf7", 5 + len(bytes.fromhex(OTHER))) + 2
    assert content[at : at + 4] == b"\0\0\1\0"
    assert kernels.without_avx512(content) == content[:at] + bytes(4) + content[at + 4 :]


def test_another_library_is_refused() -> None:
    """A library that asks in another form is not taken for one that was changed."""
    with pytest.raises(kernels.UnknownLibrary):
        kernels.without_avx512(bytes.fromhex(OTHER))


def test_programs_import_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs find the copied package first and models without graphs; afterwards all is as before."""
    library = tmp_path / "lib/python3/site-packages/onnxruntime/capi/onnxruntime_pybind11_state.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(bytes.fromhex(QUESTIONS[0]))
    models = tmp_path / "models"
    (models / "2stems").mkdir(parents=True)
    for name in ("model.index", "graph-6-cpu.onnx"):
        (models / "2stems" / name).touch()
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(models))
    monkeypatch.setenv("PYTHONPATH", "here")
    before = dict(os.environ)
    with kernels.used("avx2", tmp_path) as suffix:
        assert suffix == "-avx2"
        copies, rest = os.environ["PYTHONPATH"].split(os.pathsep)
        copy = Path(copies, *library.parts[-3:])
        assert rest == "here"
        assert copy.read_bytes() == kernels.without_avx512(library.read_bytes())
        copied = Path(os.environ[MODELS_DIR_VARIABLE], "2stems").iterdir()
        assert [path.name for path in copied] == ["model.index"]
        assert machine()["kernels"] == os.environ[KERNELS]
    assert dict(os.environ) == before
    assert not copy.exists()


def test_all_kernels_change_nothing() -> None:
    """Without the option, programs are started as they are."""
    parser = argparse.ArgumentParser()
    kernels.add_option(parser)
    before = dict(os.environ)
    with kernels.used(parser.parse_args([]).kernels) as suffix:
        assert suffix == ""
        assert dict(os.environ) == before
