"""What the images run, run here: each from an environment of its own, with compose.yaml's variables."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stemline.deploy.local.ports import free_port
from stemline.testing.processes import eventually
from tests.integration.deploy.conftest import UV, new_environment, uv
from tests.paths import REPOSITORY
from tests.support import compose, dockerfile
from tools.compiled_modules import share

DEPLOY = REPOSITORY / "deploy"
#: Packages of the engine, which only workers may hold.
ENGINE = ("av", "numpy", "onnx", "onnxruntime", "scipy", "soxr")


def _with(words: list[str], wheel: Path) -> list[str]:
    return [str(wheel) if word == "/wheel/*.whl" else word for word in words]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that gives the environment of an image, installed by the commands of its Dockerfile."""
    programs: dict[str, Path] = {}

    def environment(target: str) -> Path:
        if target not in programs:
            programs[target] = new_environment(tmp_path_factory.mktemp(target) / "venv")
            # The commands of the Dockerfile, with this test's interpreter and wheel.
            runs = dockerfile.stages(DEPLOY / "docker" / "Dockerfile")[f"build-{target}"].runs
            installs = [shlex.split(run)[1:] for run in runs if run.startswith("uv pip install")]
            assert 2 == len(installs)
            for words in installs:
                uv(*words[:2], "--python", programs[target] / "python", *_with(words[2:], wheel))
            share(Path(sys.prefix), programs[target].parent)
        return programs[target]

    return environment


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
    """The hashes of constraints/ are verified, although it is not a requirements file."""
    lines = (REPOSITORY / "constraints" / "python.txt").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("click=="))
    hashes = itertools.takewhile(lambda line: line.startswith(" "), lines[first + 1 :])
    false = tmp_path / "constraints.txt"
    false.write_text(
        "\n".join([lines[first], *(re.sub("sha256:.{8}", "sha256:00000000", h) for h in hashes)])
    )
    python = str(new_environment(tmp_path / "venv") / "python")
    command = [str(UV), "pip", "install", "--python", python, "-c", str(false), "click"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Hash mismatch" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "service",
    [
        "api",
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in ("worker", "callbacks", "beat", "flower")
        ),
    ],
)
def test_the_command_of_an_image_runs_and_its_probe_says_so(
    service, installed, valkey, valkey_server, tmp_path, misleading_folder
):
    """With the variables of image and compose file alone each service starts, is healthy and can be stopped.

    It runs in a folder whose files have the names of modules, and imports none of them.
    """
    port = free_port()
    variables = compose.example()
    definition = compose.load(DEPLOY / "compose.yaml", variables)["services"][service]
    stage = dockerfile.stages(DEPLOY / "docker" / "Dockerfile")[
        definition.get("build", {}).get("target", "callbacks")
    ]
    programs = installed({"beat": "callbacks"}.get(service, service))
    environment = {**stage.env, **definition["environment"], "PATH": f"{programs}:{os.environ['PATH']}"}
    environment["STEMLINE_REDIS_URL"] = valkey_server.url
    # Folders of the image are folders of this test.
    paths = {"/tmp/stemline-alive": tmp_path / "alive", "/tmp/stemline": tmp_path / "home"}
    paths |= {"/models": tmp_path / "models", "/scratch": tmp_path}
    for name, value in environment.items():
        environment[name] = str(paths.get(value, value))
    environment["STEMLINE_METRICS_PORT"] = "0"
    # An image holds compiled modules; here they are compiled when first imported, and kept.
    environment.pop("PYTHONDONTWRITEBYTECODE")
    command = [*stage.entrypoint, *(definition.get("command") or stage.command)]
    probe = definition.get("healthcheck", {}).get("test", ["CMD", *stage.probe])[1:]
    if "--port" in command:
        command[command.index("--port") + 1] = str(port)
        probe = [*probe, "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / command[0]), *command[1:]],
            cwd=misleading_folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def healthy() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            words = [str(programs / probe[0]), *probe[1:]]
            done = subprocess.run(
                words, env=environment, cwd=misleading_folder, capture_output=True, check=False
            )
            if done.returncode:
                time.sleep(1)  # a probe is a process, whose start delays that of the service
            return 0 == done.returncode

        eventually(healthy, 180, f"{service} is healthy")
        process.send_signal(signal.SIGTERM)
        # uvicorn answers its requests and then ends by the signal that it was sent.
        assert process.wait(60) in {0, -signal.SIGTERM}, (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
