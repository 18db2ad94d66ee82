"""Each extra, installed alone from the wheel in an empty environment, starts its commands."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.services import consumes, responds
from stemline.testing.processes import eventually
from tests.integration.deploy.conftest import uv
from tests.support.service import NO_STORE
from tools.compiled_modules import share

#: Extras that `test_images.py` installs and starts too.
_IN_IMAGES = ("api", "worker")
#: Extra, and a command of its.
COMMANDS = [
    pytest.param("api", ["api"], marks=pytest.mark.thorough),
    pytest.param("worker", ["worker", "separate"], marks=pytest.mark.thorough),
    pytest.param("gpu", ["worker", "separate"], marks=pytest.mark.thorough),
    pytest.param("callbacks", ["worker", "callbacks"], marks=pytest.mark.thorough),
    ("callbacks", ["beat"]),
    ("flower", ["flower"]),
]
#: What a command imports only when a request or a message needs it.
LATER = {
    "api": ["api", "storage", "wire", "jobs"],
    "worker": ["workers.attempt", "models", "separation", "storage"],
    "gpu": ["workers.attempt", "models", "separation", "storage"],
    "callbacks": ["workers.deliver", "workers.sweep", "callbacks", "storage", "wire"],
    "flower": ["runtime.compat.flower"],
}
_IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(f"stemline.{name}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}."):
        importlib.import_module(found.name)
"""


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that installs one extra of the wheel alone and returns the folder of its programs."""
    environments: dict[str, Path] = {}

    def environment(extra: str) -> Path:
        if extra not in environments:
            folder = tmp_path_factory.mktemp(extra) / "venv"
            uv("venv", "--python", sys.executable, folder)
            lock = "constraints/gpu.txt" if extra == "gpu" else "constraints/python.txt"
            requirement = f"stemline[{extra}] @ file://{wheel}"
            if extra == "gpu":  # without CUDA's libraries: 2 GB, which no command imports
                locked = re.split(r"\n(?=\S)", Path(lock).read_text())
                without = tmp_path_factory.mktemp("lock") / "gpu.txt"
                without.write_text("\n".join(each for each in locked if not each.startswith("nvidia-")))
                uv("pip", "install", "--python", folder / "bin" / "python", "--no-deps", "-r", without)
                uv("pip", "install", "--python", folder / "bin" / "python", "--no-deps", wheel)
            else:
                uv("pip", "install", "--python", folder / "bin" / "python", "-c", lock, requirement)
            share(Path(sys.prefix), folder)
            environments[extra] = folder / "bin"
        return environments[extra]

    return environment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command"), COMMANDS, ids=lambda each: each if isinstance(each, str) else "-".join(each)
)
def test_the_command_of_an_extra_starts_with_nothing_else_installed(
    extra, command, installed, valkey, valkey_server, tmp_path
):
    """Without any variable but its own and with no other package, the command becomes ready and stops."""
    programs, port = installed(extra), free_port()
    address = ["--port", str(port)] if command[0] in {"api", "flower"} else []
    node = ["--name", f"{extra}@test"] if command[0] == "worker" else []
    url = f"redis://127.0.0.1:{valkey_server.port}/0"
    alive = tmp_path / "alive"
    environment = {
        "HOME": str(tmp_path),
        "STEMLINE_REDIS_URL": url,
        "STEMLINE_BUCKETS": NO_STORE,
        "STEMLINE_ALIVE_FILE": str(alive),
        "FLOWER_BASIC_AUTH": "user:password",
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs / "stemline"), *command, *address, *node],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            if command == ["beat"]:
                return alive.exists()
            return consumes(node[1], url) if node else responds(f"http://127.0.0.1:{port}/healthz")

        eventually(ready, 180, f"{command} of the extra {extra} is ready")
        process.send_signal(signal.SIGINT if extra in {"gpu", "flower"} else signal.SIGTERM)
        assert 0 == process.wait(60), log.read_text()
        assert not re.search("ModuleNotFoundError|ImportError|No module named", log.read_text())
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    "extra",
    [pytest.param(each, marks=[pytest.mark.thorough] * (each in _IN_IMAGES)) for each in LATER],
)
def test_what_a_command_imports_later_is_installed_too(extra, installed, tmp_path):
    """Every module that a request, a job or a delivery brings in can be imported with the extra alone."""
    command = [str(installed(extra) / "python"), "-P", "-c", _IMPORT_ALL, *LATER[extra]]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
