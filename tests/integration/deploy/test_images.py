"""What the images run, run here: each part from an environment of its own, with compose.yaml's variables."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stemline.deploy.local.ports import free_port
from tests.conftest import REPOSITORY, missing
from tests.processes import eventually
from tests.support import compose, dockerfile

DEPLOY = REPOSITORY / "deploy"
UV = Path(sys.executable).with_name("uv")
#: Packages of the engine, which only workers may hold.
ENGINE = ("av", "numpy", "onnx", "onnxruntime", "scipy", "soxr")


def uv(*words: str) -> None:
    done = subprocess.run([str(UV), *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode and ("dns" in done.stderr or "connect" in done.stderr):
        missing("a package index")
    assert 0 == done.returncode, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel as the images build it."""
    if not UV.exists():
        missing("uv")
    folder = tmp_path_factory.mktemp("wheel")
    uv(
        "build",
        "--wheel",
        "--build-constraints",
        "constraints/build.txt",
        "--require-hashes",
        "-o",
        str(folder),
    )
    (found,) = folder.glob("*.whl")
    return found


def _with(words: list[str], wheel: Path) -> list[str]:
    return [str(wheel) if word == "/wheel/*.whl" else word for word in words]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that gives the environment of an image, installed by the commands of its Dockerfile."""
    made: dict[str, Path] = {}

    def environment(target: str) -> Path:
        if target not in made:
            folder = tmp_path_factory.mktemp(target) / "venv"
            uv("venv", "--python", sys.executable, str(folder))
            # The very words of the Dockerfile, and this test's interpreter and wheel.
            runs = dockerfile.stages(DEPLOY / "docker" / "Dockerfile")[f"build-{target}"].runs
            installs = [shlex.split(run)[1:] for run in runs if run.startswith("uv pip install")]
            assert 2 == len(installs)
            for words in installs:
                uv(*words[:2], "--python", str(folder / "bin" / "python"), *_with(words[2:], wheel))
            made[target] = folder / "bin"
        return made[target]

    return environment


@pytest.mark.slow
def test_nothing_is_left_out_of_the_wheel(wheel: Path):
    """Every tracked file of our packages, Lua scripts and the console page included, is in the wheel."""
    packages = sorted(each.name for each in (REPOSITORY / "src" / "stemline").iterdir() if each.is_symlink())
    listed = subprocess.run(
        ["git", "ls-files", *packages], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    with zipfile.ZipFile(wheel) as archive:
        held = {*archive.namelist()}
    wanted = {
        name for name in listed.stdout.splitlines() if not name.startswith("deploy/") or name.endswith(".py")
    }
    assert set() == {f"stemline/{name}" for name in wanted} - held


@pytest.mark.slow
def test_the_api_image_holds_no_engine(installed):
    """With the api extra alone the API can be imported, and nothing of the engine can."""
    code = (
        "import importlib.util, stemline.api.app, stemline.workers.app;"
        f"print([name for name in {ENGINE!r} if importlib.util.find_spec(name)])"
    )
    command = [str(installed("api") / "python"), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert ("[]\n", "") == (done.stdout, done.stderr)


@pytest.mark.slow
def test_a_tampered_package_is_not_installed(tmp_path: Path):
    """The hashes of constraints/ are verified although they stand in a constraints file."""
    lines = (REPOSITORY / "constraints" / "python.txt").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("click=="))
    hashes = itertools.takewhile(lambda line: line.startswith(" "), lines[first + 1 :])
    false = tmp_path / "constraints.txt"
    false.write_text(
        "\n".join([lines[first], *(re.sub("sha256:.{8}", "sha256:00000000", h) for h in hashes)])
    )
    uv("venv", "--python", sys.executable, str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python")
    command = [str(UV), "pip", "install", "--python", python, "-c", str(false), "click"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Hash mismatch" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("service", ["api", "worker", "callbacks", "beat", "flower"])
def test_the_command_of_an_image_runs_and_its_probe_says_so(
    service, installed, valkey, valkey_server, tmp_path
):
    """With the image's and compose's variables alone each part starts, turns healthy, and ends when told."""
    port = free_port()
    variables = compose.dotenv(DEPLOY / ".env.example") | {
        "VALKEY_HOST": "127.0.0.1",
        "VALKEY_PORT": str(valkey_server.port),
    }
    definition = compose.load(DEPLOY / "compose.yaml", variables)["services"][service]
    stage = dockerfile.stages(DEPLOY / "docker" / "Dockerfile")[
        definition.get("build", {}).get("target", "callbacks")
    ]
    # The engine's packages are large and this test's own environment has them.
    own = service != "worker"
    programs = installed({"beat": "callbacks"}.get(service, service)) if own else Path(sys.executable).parent
    environment = {**stage.env, **definition["environment"], "PATH": f"{programs}:{os.environ['PATH']}"}
    # What is a folder of the image is a folder of this test; the test's Valkey has no password.
    places = {"/tmp/stemline-alive": tmp_path / "alive", "/tmp/stemline": tmp_path / "home"}
    places |= {"/models": tmp_path / "models", "/scratch": tmp_path}
    for name, value in environment.items():
        environment[name] = str(places.get(value, value)).replace(":change-me@", "")
    environment["STEMLINE_METRICS_PORT"] = "0"
    command = [*stage.entrypoint, *(definition.get("command") or stage.command)]
    probe = definition.get("healthcheck", {}).get("test", ["CMD", *stage.probe])[1:]
    if "--port" in command:
        command[command.index("--port") + 1] = str(port)
        probe = [*probe, "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / command[0]), *command[1:]],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def healthy() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            words = [str(programs / probe[0]), *probe[1:]]
            done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, check=False)
            return 0 == done.returncode

        eventually(healthy, 60, f"{service} is healthy")
        process.send_signal(signal.SIGTERM)
        # uvicorn ends, its requests answered, by the very signal that it was sent.
        assert process.wait(30) in {0, -signal.SIGTERM}, (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
