"""ONNX Runtime sends nothing to its makers, and keeps nothing for that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stemline.testing.processes import eventually
from tests.conftest import missing

ROOT = Path(__file__).parents[3]
IMPORT = re.compile(r"^ *(import|from) onnxruntime\b", re.MULTILINE)
RESOLVER = Path(__file__).with_name("resolver.c")
#: Opens and runs a session, then stays until its input ends, as a worker would.
RUN = """
import sys
import numpy as np
from onnx import TensorProto, helper
from stemline.separation.sessions import Session
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "ab"]
graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "relu", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
Session("relu", model.SerializeToString(), "cpu").run(np.ones(4, np.float32))
print("ran", flush=True)
sys.stdin.read()
"""


def run(home: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a process that has run a session, with an empty home."""
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ran\n"
    return process


def files(home: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return sorted(each.name for each in home.rglob("*") if each.is_file())


def test_a_session_leaves_nothing_in_the_home(tmp_path: Path) -> None:
    """A session that ran has written no file; where the user asks for telemetry there is one."""
    for home, variables in (("quiet", {}), ("asked", {"ORT_DISABLE_TELEMETRY": "0"})):
        run(tmp_path / home, **variables).communicate(timeout=60)
    assert files(tmp_path / "quiet") == []
    assert "deviceid" in files(tmp_path / "asked")


@pytest.mark.thorough
def test_a_session_looks_up_no_name(tmp_path: Path) -> None:
    """While a process with telemetry looks up its receiver, one as we start it has looked up nothing."""
    if not shutil.which("cc"):
        missing("cc (Debian package gcc), which compiles the resolver that notes names")
    library = tmp_path / "resolver.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, RESOLVER, "-ldl"], check=True)
    logs = {name: tmp_path / f"{name}.log" for name in ("quiet", "asked")}
    shared = {"LD_PRELOAD": str(library)}
    quiet = run(tmp_path / "quiet", **shared, RESOLVED=str(logs["quiet"]))
    asked = run(tmp_path / "asked", **shared, RESOLVED=str(logs["asked"]), ORT_DISABLE_TELEMETRY="0")
    try:
        eventually(logs["asked"].exists, timeout_s=120)
    finally:
        for process in (quiet, asked):
            process.communicate(timeout=60)
    assert "microsoft" in logs["asked"].read_text()
    assert not logs["quiet"].exists()


def test_one_module_imports_the_library() -> None:
    """Nothing else imports ONNX Runtime, so that no process loads it with telemetry."""
    importers = {
        str(file.relative_to(ROOT))
        for folder in [*ROOT.glob("src/stemline/*/"), ROOT / "benchmarks", ROOT / "tests", ROOT / "tools"]
        for file in folder.resolve().rglob("*.py")
        if IMPORT.search(file.read_text())
    }
    assert importers == {"separation/onnx_runtime.py", "separation/sessions.py"}
