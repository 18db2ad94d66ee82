"""The first hour of a new user, step by step: from a clone to a hundred tracks.

Clones the last commit into a temporary folder, and there gives the commands of README and docs, each after
the one before has ended. The weights are fetched; packages come from uv's cache where this machine has them.

    python -m benchmarks.first_hour [--tracks 100]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import REPOSITORY, Report
from stemline.testing.processes import eventually

_SECONDS = 10
_PER_TRACK = 2


def main() -> None:
    """Go through the steps and write how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100)
    tracks = parser.parse_args().tracks
    report = Report(
        "first-hour", f"From a clone to {tracks} tracks of {_SECONDS} s", ["benchmarks/first_hour.py"]
    )
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "stemline"
        variables = environment(Path(name) / "cache")

        def step(key: str, label: str, command: str, folder: Path = clone) -> None:
            start = time.monotonic()
            subprocess.run(["/bin/sh", "-ec", command], cwd=folder, env=variables, check=True, timeout=3600)
            report.add(key, [time.monotonic() - start], unit="s", label=label)

        step("clone", "git clone", f"git clone --quiet --depth 1 file://{REPOSITORY} stemline", Path(name))
        step("demo", "make demo, with the installation", "make demo")
        cut(clone / "demo-output" / "mix.wav", clone / "album", tracks)
        start = time.monotonic()
        with service(clone, variables):
            report.add("up", [time.monotonic() - start], unit="s", label="make up, until it is ready")
            step("song", "submit one song", ".venv/bin/stemline submit demo-output/mix.wav -o stems")
            command = ".venv/bin/stemline submit album/ -o many --codec mp3"
            step("tracks", f"submit a folder of {tracks} tracks", command)
        stems = len(list((clone / "many").rglob("*.mp3")))
        assert stems == _PER_TRACK * tracks, f"{stems} stems of {tracks} tracks"
    report.add(
        "all", [sum(figure.values[0] for figure in report.figures.values())], unit="s", label="all of it"
    )
    report.notes.append(f"Each of the {tracks} tracks has its two stems.")
    report.write()


def environment(cache: Path) -> dict[str, str]:
    """Return the variables of a user who has neither weights nor settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEMLINE_", "MAKE")) and name != "VIRTUAL_ENV"
    }
    path = os.pathsep.join(each for each in kept["PATH"].split(os.pathsep) if "/.venv" not in each)
    packages = kept.get("UV_CACHE_DIR") or str(Path("~/.cache/uv").expanduser())
    return kept | {"PATH": path, "XDG_CACHE_HOME": str(cache), "UV_CACHE_DIR": packages}


def cut(song: Path, folder: Path, tracks: int) -> None:
    """Write pieces of a song, each with another beginning."""
    folder.mkdir()
    with wave.open(str(song)) as source:
        length = _SECONDS * source.getframerate()
        step = (source.getnframes() - length) // tracks
        for number in range(tracks):
            source.setpos(number * step)
            with wave.open(str(folder / f"track-{number:03}.wav"), "wb") as piece:
                piece.setparams(source.getparams())
                piece.writeframes(source.readframes(length))


@contextmanager
def service(clone: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Run ``make up`` while the block runs."""
    process = subprocess.Popen(
        ["make", "up"], cwd=clone, env=variables, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        eventually((clone / ".stemline" / "stack.json").is_file, 600, "the stack")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()
