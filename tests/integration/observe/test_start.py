"""What a process cannot do is reported at its start, in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("processes", [1, 2])
def test_a_broken_credentials_file_stops_the_api(processes, tmp_path):
    """The API ends with the file and the reason, without the file's content and without a traceback."""
    file = tmp_path / "credentials.json"
    file.write_text('[{"secret_id": "a", "secret_key": ["hush-hush"]}]')
    done = subprocess.run(
        [sys.executable, "-m", "stemline", "api", "--processes", str(processes)],
        env={**os.environ, "STEMLINE_CREDENTIALS_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert 1 == done.returncode
    assert f"Error: {file}: 0.secret_key: Input should be a valid string\n" == done.stderr
    assert not done.stdout


def test_an_untested_version_stops_a_process(tmp_path):
    """A package that is newer than what the patches were tested with is named with the bounds to install."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\n"
        "real = metadata.version\n"
        "metadata.version = lambda name: '99.0' if name == 'kombu' else real(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "stemline", "beat"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert 1 == done.returncode
    assert done.stderr.startswith("Error: kombu 99.0 is installed, but Stemline uses its private API")
    assert "kombu<5.8,>=5.7" in done.stderr
