"""Which compiled library is loaded, and what is said where none is."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import hatch_build
from stemline.separation.errors import DeviceError, OptionError
from stemline.separation.native import library
from tests.conftest import missing

#: Stands for the networks: the processor is what the variable says.
SOURCE = """
#include <stdlib.h>
int kernels_best(void) { return atoi(getenv("TEST_BEST")); }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base library of a small source, beside it."""
    if not hatch_build.find_compiler():
        missing("a C compiler")
    folder = tmp_path_factory.mktemp("native")
    (folder / "unet.c").write_text(SOURCE)
    assert [] == hatch_build.compile_libraries(folder, folder, ["base"])
    return folder


@pytest.fixture
def folder(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Libraries of all instruction sets, on a processor that has them; each can run here."""
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setenv("TEST_BEST", "2")
    shutil.copy(compiled / "unet.c", tmp_path)
    for name in library.SETS:
        shutil.copy(compiled / "kernels.base.so", tmp_path / f"kernels.{name}.so")
    library._log_once.cache_clear()
    yield tmp_path
    library._find.cache_clear()


@pytest.mark.parametrize(
    ("machine", "best", "name"), [("aarch64", 0, "base"), ("x86_64", 1, "avx2"), ("x86_64", 2, "avx512")]
)
def test_the_best_that_the_processor_runs_is_loaded(
    machine: str, best: int, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a choice the library is that of the best instruction set."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv("TEST_BEST", str(best))
    loaded = library.load(folder=folder).library
    assert loaded is not None
    assert loaded._name == str(folder / f"kernels.{name}.so")
    assert name == library.find(folder=folder).instructions
    assert loaded is library.load("auto", folder).library


def test_x86_without_avx2_is_left_to_onnx_runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base library is slower there; it can be had by its name."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("TEST_BEST", "0")
    assert library.load(folder=folder).library is None
    assert "no AVX2" in library.find(folder=folder).reason
    assert library.load("base", folder).library is not None


def test_a_library_that_was_left_out_is_not_needed(folder: Path) -> None:
    """Where the compiler did not know the best instruction set, the next one is taken."""
    (folder / "kernels.avx512.so").unlink()
    assert "avx2" == library.find(folder=folder).instructions


@pytest.mark.parametrize("name", library.SETS)
def test_a_choice_is_kept(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, or else the variable, says which library it is."""
    assert name == library.find(name, folder).instructions
    monkeypatch.setenv(library.VARIABLE, name)
    assert name == library.find(folder=folder).instructions
    assert "base" == library.find("base", folder).instructions


def test_off_loads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who wants none gets none, without a word."""
    monkeypatch.setenv(library.VARIABLE, "off")
    with capture_logs() as lines:
        assert library.load(folder=folder).library is None
    assert [] == lines


def test_what_the_processor_cannot_run_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instruction set that is named and missing is an error, as a device is."""
    monkeypatch.setenv("TEST_BEST", "1")
    with pytest.raises(DeviceError, match="can run base and avx2 only"):
        library.load("avx512", folder)


def test_a_named_library_that_was_not_built_is_an_error(folder: Path) -> None:
    """It is not replaced by another one."""
    (folder / "kernels.avx2.so").unlink()
    with pytest.raises(DeviceError, match=r"kernels\.avx2\.so was not built"):
        library.load("avx2", folder)


def test_a_misspelt_choice_is_an_error(folder: Path) -> None:
    """It names the choices."""
    with pytest.raises(OptionError, match="auto, off, base, avx2, avx512"):
        library.load("avx", folder)


def nothing_built(folder: Path) -> str:
    for file in folder.glob("*.so"):
        file.unlink()
    return "was not built"


def of_another_processor(folder: Path) -> str:
    for file in folder.glob("*.so"):
        file.write_bytes(b"\x7fELF" + bytes(100))
    return "cannot be loaded"


def of_other_sources(folder: Path) -> str:
    """As after an update of a checkout."""
    (folder / "unet.h").write_text("#define NEW\n")
    return "built from other sources"


def of_another_program(folder: Path) -> str:
    """A library that says nothing about its sources."""
    mapped = (Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines())
    libc = next(path for path in mapped if path.name.startswith(("libc.", "libc-")))
    for file in folder.glob("*.so"):
        shutil.copy(libc, file)
    return "cannot be loaded"


@pytest.mark.parametrize("spoil", [nothing_built, of_another_processor, of_other_sources, of_another_program])
def test_where_none_can_be_used_the_log_says_why(spoil: Callable[[Path], str], folder: Path) -> None:
    """There is no library, no error, and one line in the log however often it is asked for."""
    reason = spoil(folder)
    with capture_logs() as lines:
        assert library.load(folder=folder).library is None
        assert library.load(folder=folder).library is None
    (line,) = lines
    assert ("kernels.not_used", "warning") == (line["event"], line["log_level"])
    assert reason in line["reason"]
    assert line["reason"] == library.find(folder=folder).reason


def test_a_damaged_library_is_not_replaced_by_a_slower_one(folder: Path) -> None:
    """That the installation is damaged is said, instead of being slow without a word."""
    (folder / "kernels.avx512.so").write_bytes(b"\x7fELF" + bytes(100))
    assert library.find(folder=folder).library is None
    assert "kernels.avx512.so cannot be loaded" in library.find(folder=folder).reason


def test_the_build_and_the_loader_agree_on_the_sources() -> None:
    """Both compute the same from the sources of the package."""
    sources = Path(library.__file__).parent
    assert hatch_build.fingerprint(sources) == library.fingerprint(sources)


def test_this_installation_has_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the wheel, or of the checkout, are loaded; in CI they have to be there."""
    monkeypatch.delenv(library.VARIABLE, raising=False)
    found = library.find()
    if found.library is None:
        missing(f"what the build compiles ({found.reason})")
    assert Path(found.library._name).parent == Path(library.__file__).parent
