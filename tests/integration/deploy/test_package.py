"""Wheel and source distribution: what they hold, and that the commands work from the installed wheel."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
import wave
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

import hatch_build
from hatch_build import platform_tag, variants_of
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.processes import eventually
from tests.conftest import missing
from tests.golden.fixtures import weights_2stems
from tests.integration.deploy.conftest import (
    IMPORTED,
    build,
    clean_environment,
    new_environment,
    try_to_build,
)
from tests.paths import REPOSITORY
from tests.support import dockerfile
from tests.support.processes import alive

__all__ = ["weights_2stems"]

CONSOLE = {".html", ".js", ".css", ".svg", ".md", ".ts"}
KINDS = {".py", ".lua", ".typed", ".c", ".h", *CONSOLE}
"""Suffixes of the files of our packages."""
COMPILED = {f"{hatch_build.FOLDER}/kernels.{name}.so" for name in variants_of(platform_tag())}
"""What the build adds to them where there is a compiler."""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment in which the wheel is installed with the extra `local`."""
    return new_environment(tmp_path_factory.mktemp("local") / "venv", f"{wheel}[local]")


#: What docs/deployment.md has an operator write into `deploy`.
OF_OPERATORS = (".env", "stemline.env", "stemline-api.env", "tenants/credentials.json", "weights/model.onnx")


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def run_to_end(command: list[Path | str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the wheel in a folder until it ends."""
    environment = clean_environment(Path(command[0]).parent, **variables)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def running(command: list[Path | str], folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command of the wheel in a folder, its output in the file `output`; end it as Ctrl-C does."""
    environment = clean_environment(Path(command[0]).parent, **variables)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_wheel_holds_one_package_without_deployment_files(wheel: Path) -> None:
    """The wheel holds `stemline` and its metadata: modules, Lua scripts, the console and a type marker."""
    names = [Path(name) for name in content(wheel)]
    top = {name.parts[0] for name in names}
    assert {"stemline"} == {name for name in top if not name.endswith(".dist-info")}
    assert 2 == len(top)
    kinds = {name.suffix for name in names if name.parts[0] == "stemline"}
    assert set() == kinds - KINDS - {".so"}


def test_the_wheel_holds_what_was_compiled(wheel: Path) -> None:
    """It has a library for each instruction set, for any Python of this platform, and no other one."""
    if not hatch_build.find_compiler():
        missing("a C compiler")
    assert COMPILED == {name for name in content(wheel) if name.endswith(".so")}
    assert wheel.name.endswith(f"-py3-none-{platform_tag()}.whl")


@pytest.mark.parametrize(
    ("variables", "warns"),
    [({"STEMLINE_NATIVE": "off"}, False), ({"STEMLINE_NATIVE": "auto", "CC": "no-such-compiler"}, True)],
)
def test_without_a_compiler_the_wheel_is_for_every_platform(
    variables: dict[str, str], warns: bool, wheel: Path, tmp_path: Path
) -> None:
    """It lacks the libraries and nothing else, and the build warns unless that was wanted."""
    done = try_to_build(tmp_path, **variables)
    assert 0 == done.returncode, done.stderr
    (pure,) = tmp_path.glob("*.whl")
    assert pure.name.endswith("-py3-none-any.whl")
    lacking = content(wheel).keys() - content(pure).keys()
    assert lacking <= COMPILED
    assert bool(lacking) == bool(hatch_build.find_compiler())
    assert warns == ("CC names no-such-compiler, which is not there" in done.stderr)


def test_a_required_compiler_has_to_be_there(tmp_path: Path) -> None:
    """With STEMLINE_NATIVE=require there is no wheel without the libraries, and the reason is given."""
    done = try_to_build(tmp_path, STEMLINE_NATIVE="require", CC="no-such-compiler")
    assert 0 != done.returncode
    assert "CC names no-such-compiler, which is not there" in done.stderr
    assert [] == list(tmp_path.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Every tracked file of our packages, Lua scripts and the console page included, is in the wheel."""
    packages = sorted(each.name for each in (REPOSITORY / "src" / "stemline").iterdir() if each.is_symlink())
    command = ["git", "ls-files", *packages]
    tracked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    wanted = {
        f"stemline/{name}"
        for name in tracked.splitlines()
        if not name.startswith("deploy/") or name.endswith(".py")
    }
    assert set() == wanted - content(wheel).keys()


@pytest.mark.thorough
def test_the_source_distribution_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """The source distribution holds no deployment files, and the wheel built from it is the same."""
    with tarfile.open(sdist) as archive:
        names = [Path(*Path(name).parts[1:]) for name in archive.getnames()]
    folders = {name.parts[0] for name in names if len(name.parts) > 1}
    assert {"src"} == folders
    assert {"stemline"} == {name.parts[1] for name in names if name.parts[0] == "src" and len(name.parts) > 1}
    kinds = {name.suffix for name in names if name.parts[0] == "src"}
    assert set() == kinds - KINDS
    assert content(wheel) == content(build(tmp_path, "--wheel", sdist))


@pytest.mark.thorough
def test_an_image_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """What `.dockerignore` lets through and the Dockerfile copies is enough to build the same wheel.

    What an operator puts into `deploy`, as the page says, gets into no wheel.
    """
    stages = dockerfile.stages(REPOSITORY / "deploy" / "docker" / "Dockerfile")
    (stage,) = [
        each for each in stages.values() if each.runs and each.runs[-1].startswith("uv build --wheel")
    ] or [stages["build"]]
    source = tmp_path / "source"
    dockerfile.copy_context(stage.copies, source)
    for name in OF_OPERATORS:
        file = source / "deploy" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("secret")
    assert content(wheel) == content(build(tmp_path / "out", "--wheel", source))


def test_python_runs_the_package(programs: Path, misleading_folder: Path) -> None:
    """`python -m stemline` is the command, also beside files with the names of libraries."""
    (misleading_folder / "stemline.py").unlink()  # Python itself looks for the package here first
    done = run_to_end([programs / "python", "-m", "stemline", "callbacks", "--help"], misleading_folder)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("Usage: stemline callbacks")


def test_separate_works_beside_misleading_files(
    programs: Path, misleading_folder: Path, weights_2stems: Path
) -> None:
    """`stemline separate` writes both stems in a folder whose files have the names of modules."""
    with wave.open(str(misleading_folder / "song.wav"), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).integers(-3000, 3000, 88_200, "<i2").tobytes())
    command: list[Path | str] = [programs / "stemline", "separate", "song.wav", "-o", "stems"]
    done = run_to_end(command, misleading_folder, STEMLINE_MODELS_DIR=str(weights_2stems.parent))
    assert 0 == done.returncode, done.stderr
    stems = sorted(path.name for path in (misleading_folder / "stems").iterdir())
    assert ["song-accompaniment.wav", "song-vocals.wav"] == stems


@pytest.mark.thorough
@pytest.mark.slow
def test_up_works_beside_misleading_files(programs: Path, misleading_folder: Path) -> None:
    """`stemline up` becomes ready there, stops at Ctrl-C, and no process imported a file of the folder."""
    stack = misleading_folder / ".stemline" / "stack.json"
    with running([programs / "stemline", "up"], misleading_folder) as process:
        eventually(lambda: stack.exists() or process.poll() is not None, 180, "the stack")
        assert process.poll() is None, (misleading_folder / "output").read_text()
        pids = json.loads(stack.read_text())["pids"]
    assert 0 == process.returncode
    assert "Stopped" in (misleading_folder / "output").read_text()
    eventually(lambda: not any(map(alive, pids.values())), 120, "the end of the processes")
    logs = {log.name: log.read_text(errors="replace") for log in (stack.parent / "logs").glob("*.log")}
    assert pids.keys() - {"stack"} <= {name.removesuffix(".log") for name in logs}
    assert [] == [name for name, text in logs.items() if IMPORTED in text]


@pytest.mark.thorough
@pytest.mark.slow
def test_several_api_processes_work_beside_misleading_files(
    programs: Path, misleading_folder: Path, valkey_server: ValkeyServer
) -> None:
    """The processes that `stemline api --processes 2` starts import nothing from there either."""
    port = free_port()
    command: list[Path | str] = [programs / "stemline", "api", "--processes", "2", "--port", str(port)]

    def is_ready() -> bool:
        assert process.poll() is None, (misleading_folder / "output").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    with running(command, misleading_folder, STEMLINE_REDIS_URL=valkey_server.url) as process:
        eventually(is_ready, 180, "the API is ready")
    assert IMPORTED not in (misleading_folder / "output").read_text()
