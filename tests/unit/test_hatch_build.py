"""What hatch_build.py compiles, and what it does where it cannot."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hatch_build
from hatch_build import VARIANTS, NativeBuildHook, library, platform_tag, variants_of
from tests.conftest import missing

LINUX = "linux_x86_64"


class Build:
    """One run of the hook, as hatchling runs it."""

    def __init__(self, root: Path, version: str = "standard") -> None:
        self.warnings: list[str] = []
        self.data: dict[str, Any] = {"force_include": {}, "pure_python": True}
        app: Any = SimpleNamespace(display_warning=self.warnings.append)
        nothing: Any = None
        self.hook = NativeBuildHook(str(root), {}, nothing, nothing, str(root), "wheel", app)
        self.hook.initialize(version, self.data)
        self.included = {
            target: Path(file).read_bytes() for file, target in self.data["force_include"].items()
        }
        self.hook.finalize(version, self.data, "")

    @property
    def sets(self) -> set[str]:
        """The instruction sets of the libraries in the wheel."""
        return {Path(target).stem.removeprefix("kernels.") for target in self.included}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small source; the platform has all instruction sets, whatever this machine is."""
    sources = tmp_path / "project" / "src" / hatch_build.FOLDER
    sources.mkdir(parents=True)
    (sources / "unet.c").write_text('#include "numbers.h"\nint kernels_best(void) { return NUMBER; }\n')
    (sources / "numbers.h").write_text("#define NUMBER 2\n")
    monkeypatch.setattr(hatch_build, "platform_tag", lambda: LINUX)
    monkeypatch.delenv("STEMLINE_NATIVE", raising=False)
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "project"


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that writes down its options, and knows no option of the file `unknown`."""
    script = tmp_path / "my compiler"
    script.write_text(
        "#!/bin/sh\n"
        'here=${0%/*}; echo "$*" >> "$here/calls"; unknown=none\n'
        'if test -e "$here/unknown"; then read -r unknown < "$here/unknown"; fi\n'
        'case " $* " in *" $unknown "*) echo no such option >&2; exit 1;; esac\n'
        "for target; do :; done\n"
        '{ echo "$*"; cat; } > "$target"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CC", shlex.quote(str(script)))
    return script


def calls(compiler: Path) -> list[str]:
    file = compiler.with_name("calls")
    return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for this machine's platform and compiler."""
    if not hatch_build.find_compiler():
        missing("a C compiler")
    monkeypatch.setattr(hatch_build, "platform_tag", platform_tag)
    return root


def test_a_compiler_makes_a_wheel_for_the_platform(here: Path) -> None:
    """With this machine's compiler the wheel has its libraries, and fits every Python on this platform."""
    build = Build(here)
    assert build.sets == set(variants_of(platform_tag()))
    assert (False, f"py3-none-{platform_tag()}") == (build.data["pure_python"], build.data["tag"])
    assert [] == build.warnings


def test_each_library_has_its_instruction_set(root: Path, compiler: Path) -> None:
    """Only the libraries that the processor is asked for are compiled with more than the base."""
    build = Build(root)
    assert build.sets == set(VARIANTS)
    options = {target: text.decode() for target, text in build.included.items()}
    assert "-mavx" not in options[f"{hatch_build.FOLDER}/kernels.base.so"]
    assert "-mavx512" not in options[f"{hatch_build.FOLDER}/kernels.avx2.so"]
    assert "-mavx512f" in options[f"{hatch_build.FOLDER}/kernels.avx512.so"]


@pytest.mark.parametrize(
    ("platform", "sets"),
    [
        ("linux_x86_64", ["base", "avx2", "avx512"]),
        ("macosx_13_0_x86_64", ["base", "avx2", "avx512"]),
        ("linux_aarch64", ["base"]),
        ("macosx_14_0_arm64", ["base"]),
    ],
)
def test_other_processors_have_one_library(platform: str, sets: list[str]) -> None:
    """The instruction sets of x86-64 are compiled for there alone."""
    assert sets == variants_of(platform)


def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", str(tmp_path))
    return "there is no C compiler"


def missing_compiler(_: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CC", "no-such-compiler")
    return "CC names no-such-compiler, which is not there"


def failing_compiler(_: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CC", "sh -c 'echo the disk is full >&2; exit 3'")
    return r"base, avx2, avx512: sh -c .* ended with status 3: the disk is full"


def silent_compiler(_: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that says that all went well, and wrote nothing."""
    monkeypatch.setenv("CC", "true")
    return "base, avx2, avx512: true wrote no library"


def without_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Mac without command line tools, whose `cc` would open a window."""
    for name, script in (("xcode-select", "exit 2"), ("cc", f"touch '{tmp_path}/window'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sys, "platform", "darwin")
    return "there is no C compiler"


WITHOUT = [no_compiler, missing_compiler, failing_compiler, silent_compiler, without_tools]


@pytest.mark.parametrize("reason", WITHOUT)
def test_without_a_compiler_the_wheel_is_pure(
    reason: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning says why, and the wheel is for every platform."""
    text = reason(tmp_path, monkeypatch)
    build = Build(root)
    assert (set(), True, None) == (build.sets, build.data["pure_python"], build.data.get("tag"))
    (warning,) = build.warnings
    assert re.search(text, warning)
    assert not (tmp_path / "window").exists()


@pytest.mark.parametrize("reason", WITHOUT)
def test_required_libraries_fail_the_build(
    reason: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With STEMLINE_NATIVE=require there is no wheel without them."""
    text = reason(tmp_path, monkeypatch)
    monkeypatch.setenv("STEMLINE_NATIVE", "require")
    with pytest.raises(RuntimeError, match=text):
        Build(root)


@pytest.mark.parametrize(
    ("option", "left"),
    [("-mavx512vl", {"base", "avx2"}), ("-mfma", {"base"}), ("-O3", set())],
    ids=["avx512", "avx2", "base"],
)
def test_what_a_compiler_does_not_know_is_left_out(
    option: str, left: set[str], root: Path, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old compiler makes the libraries that it can, with one warning; required, all have to be there."""
    compiler.with_name("unknown").write_text(f"{option}\n")
    build = Build(root)
    assert left == build.sets
    (warning,) = build.warnings
    assert "no such option" in warning
    monkeypatch.setenv("STEMLINE_NATIVE", "require")
    with pytest.raises(RuntimeError, match="no such option"):
        Build(root)


def test_off_compiles_nothing(root: Path, compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """STEMLINE_NATIVE=off makes a pure wheel, runs no compiler and warns of nothing."""
    monkeypatch.setenv("STEMLINE_NATIVE", "off")
    build = Build(root)
    assert (set(), True, [], []) == (build.sets, build.data["pure_python"], build.warnings, calls(compiler))


def test_another_word_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt STEMLINE_NATIVE does not mean the default."""
    monkeypatch.setenv("STEMLINE_NATIVE", "required")
    with pytest.raises(ValueError, match="auto, require or off"):
        Build(root)


def test_a_wheel_leaves_nothing_in_the_checkout(root: Path, compiler: Path) -> None:
    """The libraries of a wheel are compiled elsewhere, also where the checkout has its own."""
    Build(root, "editable")
    files = {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}
    assert Build(root).sets == set(VARIANTS)
    assert files == {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}
    assert 2 * len(VARIANTS) == len(calls(compiler))


def test_an_editable_installation_compiles_what_changed(
    root: Path, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkout holds the libraries; they are compiled again when a source changes, and not before."""
    folder = root / "src" / hatch_build.FOLDER
    build = Build(root, "editable")
    assert {} == build.included
    assert all(library(folder, name).exists() for name in VARIANTS)
    Build(root, "editable")
    assert len(VARIANTS) == len(calls(compiler))
    (folder / "numbers.h").write_text("#define NUMBER 1\n")
    Build(root, "editable")
    assert 2 * len(VARIANTS) == len(calls(compiler))
    library(folder, "avx2").unlink()
    Build(root, "editable")
    assert 3 * len(VARIANTS) == len(calls(compiler))


def test_times_of_files_do_not_matter(root: Path, compiler: Path) -> None:
    """Other sources are compiled also if they are older than the libraries, as of an unpacked release."""
    source = root / "src" / hatch_build.FOLDER / "numbers.h"
    Build(root, "editable")
    source.touch()
    Build(root, "editable")
    assert len(VARIANTS) == len(calls(compiler))
    source.write_text("#define NUMBER 1\n")
    os.utime(source, (0, 0))
    Build(root, "editable")
    assert 2 * len(VARIANTS) == len(calls(compiler))


def test_libraries_for_another_platform_are_compiled_again(
    root: Path, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that sees the checkout of its host."""
    Build(root, "editable")
    monkeypatch.setattr(hatch_build, "platform_tag", lambda: "macosx_13_0_x86_64")
    Build(root, "editable")
    assert 2 * len(VARIANTS) == len(calls(compiler))


@pytest.mark.parametrize(("variable", "value"), [("CC", "false"), ("STEMLINE_NATIVE", "off")])
def test_libraries_of_other_sources_do_not_stay(
    variable: str, value: str, root: Path, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an editable installation cannot or shall not compile, the checkout has none afterwards."""
    folder = root / "src" / hatch_build.FOLDER
    Build(root, "editable")
    (folder / "numbers.h").write_text("#define NUMBER 1\n")
    monkeypatch.setenv(variable, value)
    Build(root, "editable")
    assert [] == list(folder.glob("*.so"))


def test_the_place_of_the_sources_does_not_matter(here: Path, tmp_path: Path) -> None:
    """The same sources in another folder give the same bytes."""
    elsewhere = tmp_path / "a longer path" / "elsewhere"
    shutil.copytree(here, elsewhere)
    assert Build(here).included == Build(elsewhere).included
