"""A folder of tracks through `stemline submit`, with kill -9 of the command, of workers and of the API.

::

    python -m tests.chaos.tracks [--tracks 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stemline.client import Client, Target
from stemline.client.target import S3Access
from tests.chaos import stub
from tests.chaos.service import BUCKET, REGION, Service
from tests.chaos.trials import SETTINGS

_MAX_S = 900.0
_JOBS = 12
"""Tracks under way at once: few, so that a fault meets every step of some track."""


@dataclass
class Outcome:
    """What a run came to."""

    tracks: int
    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    lasted_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    """Everything that must not happen."""

    def __str__(self) -> str:
        kills = ", ".join(f"{count} of {name}" for name, count in sorted(self.kills.items()))
        faults = "\n".join(["", *self.faults]) if self.faults else " no fault"
        return (
            f"{self.tracks} tracks, {self.jobs} jobs, {self.lasted_s:.0f} s, "
            f"{self.tracks * 60 / self.lasted_s:.0f} tracks a minute; kill -9 {kills};{faults}"
        )


class Folder:
    """Tracks whose stems are known, and the command that separates them."""

    def __init__(self, service: Service, place: Path, count: int) -> None:
        """Write the tracks.

        Args:
            service: That separates them.
            place: Folder of everything.
            count: Of the tracks.
        """
        self.service = service
        self.sources, self.stems, self._log = place / "tracks", place / "stems", place / "submit.log"
        for number in range(count):
            path = self.sources / f"disc {number % 7}" / f"track {number}.mp3"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stub.source(f"{place.name}-{number}", 0.05))

    def start(self) -> subprocess.Popen[bytes]:
        """Start `stemline submit`, the first time and after each kill."""
        s3 = self.service.s3
        variables = {
            "HOME": str(self.stems.parent),
            "STEMLINE_API": f"http://127.0.0.1:{self.service.port}",
            "STEMLINE_BUCKET": BUCKET,
            "STEMLINE_REGION": REGION,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        }
        words = ["submit", str(self.sources), "-o", str(self.stems), "--jobs", str(_JOBS)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "stemline", *words],
                env={**os.environ, **variables},
                stdout=log,
                stderr=log,
            )

    def done(self) -> int:
        """Return how many tracks are done, by the manifest."""
        manifest = self.stems / "stemline-manifest.jsonl"
        return manifest.read_bytes().count(b'"state": "done"') if manifest.exists() else 0

    def check(self, outcome: Outcome) -> None:
        """Look for tracks that are missing, were done twice, or have the stems of others."""
        s3 = self.service.s3
        access = S3Access(s3.endpoint_url, s3.access_key, s3.secret_key)
        target = Target(f"http://127.0.0.1:{self.service.port}", bucket=BUCKET, region=REGION, s3=access)
        lines = (self.stems / "stemline-manifest.jsonl").read_text().splitlines()
        place = f"uploads/{json.loads(lines[0])['run']}/"
        with Client(target) as client:
            jobs = [job for job in client.list() if job.source.startswith(place)]
        per_track = Counter(job.source for job in jobs)
        outcome.jobs = len(jobs)
        outcome.faults += [f"{source} has {count} jobs" for source, count in per_track.items() if count != 1]
        outcome.faults += [f"{job.source}: {job.state} {job.message}" for job in jobs if not job.succeeded]
        for path in self.sources.rglob("*.mp3"):
            nonce = json.loads(path.read_bytes())["nonce"]
            for name, of_model in (("voice", "vocals"), ("background", "accompaniment")):
                file = self.stems / path.parent.name / f"{path.stem}-{name}.wav"
                if not file.is_file():
                    outcome.faults.append(f"{file.name} is missing")
                elif file.read_bytes() != stub.stem(of_model, nonce):
                    outcome.faults.append(f"{file.name} is not that of its track")


def run(folder: Folder, count: int, kills: list[str]) -> Outcome:
    """Separate all tracks; the kills are spread over the time that it takes.

    Args:
        folder: Of the tracks.
        count: Of the tracks.
        kills: ``client`` or the name of a part of the service, in their order.
    """
    outcome, service = Outcome(count), folder.service
    began = time.monotonic()
    command = folder.start()
    try:
        for number, name in enumerate(kills, 1):
            wanted = count * number // (len(kills) + 1)
            while folder.done() < wanted and command.poll() is None and time.monotonic() - began < _MAX_S:
                time.sleep(0.02)
            if name == "client":
                command.send_signal(signal.SIGKILL)
                command.wait()
                command = folder.start()
            else:
                service.kill(name)
                if not name.startswith("engine-"):
                    service.restart(name)
            outcome.kills[name] += 1
        status = command.wait(max(1.0, _MAX_S - (time.monotonic() - began)))
        if status != 0:
            outcome.faults.append(f"the command ended with status {status}")
    finally:
        command.kill()
        command.wait()
    outcome.lasted_s = time.monotonic() - began
    folder.check(outcome)
    return outcome


def main() -> None:
    """Run it on a service of its own, and end with status 1 if anything happened that must not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    kills = [
        "client",
        "worker-1",
        "api",
        "client",
        "engine-2",
        "worker-2",
        "api",
        "client",
        "worker-1",
        "client",
    ]
    dice.shuffle(kills)
    with tempfile.TemporaryDirectory(prefix="tracks-") as name:
        service = Service(Path(name) / "service", **SETTINGS)
        try:
            service.start()
            outcome = run(Folder(service, Path(name) / "run", options.tracks), options.tracks, kills)
        finally:
            service.stop()
    print(outcome)  # noqa: T201 - the result of a program
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
