"""The checks of the C sources."""

from __future__ import annotations

from pathlib import Path

import pytest

import hatch_build
from tests.conftest import missing
from tools import native

CLEAN = "int kernels_best(void) { return 0; }\n"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources, whose one file is in order."""
    if not native.compilers():
        missing("gcc or clang")
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "unet.c").write_text(CLEAN)
    monkeypatch.setattr(native, "_SOURCES", folder)
    return folder


def test_nothing_is_wrong_with_what_has_no_warning(sources: Path) -> None:
    """The command succeeds, and writes nothing."""
    assert native.main(["lint"]) is None
    assert ["unet.c"] == [file.name for file in sources.iterdir()]


@pytest.mark.parametrize(("macro", "name"), [("__AVX2__", "avx2"), ("__AVX512F__", "avx512")])
def test_a_warning_for_one_instruction_set_is_found(macro: str, name: str, sources: Path) -> None:
    """Every compiler that is here looks at what is compiled for each instruction set alone."""
    if not hatch_build.platform_tag().endswith("x86_64"):
        pytest.skip("this processor has one instruction set")
    (sources / "unet.c").write_text(
        f"#ifdef {macro}\nstatic int unused(void) {{ return 0; }}\n#endif\n{CLEAN}"
    )
    found = native.main(["lint"]) or ""
    assert native.compilers() == [each for each in ("gcc", "clang") if f"{each}, {name}:\n" in found]
    assert ", base:\n" not in found


def test_sanitized_libraries_are_beside_their_sources(sources: Path, tmp_path: Path) -> None:
    """They are compiled into another folder, and name the sources there."""
    target = tmp_path / "sanitized"
    assert native.main(["sanitized", str(target)]) is None
    assert hatch_build.fingerprint(sources) == hatch_build.fingerprint(target)
    for name in hatch_build.variants_of(hatch_build.platform_tag()):
        compiled = hatch_build.library(target, name).read_bytes()
        assert b"__asan_init" in compiled
        assert hatch_build.fingerprint(target).encode() in compiled
