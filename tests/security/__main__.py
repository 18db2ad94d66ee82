"""``make security``: attack a running service with everything, and print what held and what it cost."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.report import Report
from stemline.separation.decoder import Decoder
from stemline.separation.media import MediaLimits
from tests.paths import REPOSITORY
from tests.security import media_reading
from tests.security.attacks import attacks, established, large_pages
from tests.security.report import HEADINGS, run
from tests.security.target import running

ROWS: Final = REPOSITORY / "build" / "security"
PARTS: Final = ("plain", "tls", "established", "established, more memory", "media")
#: Room for 2,000 TLS handshakes at a time, each counted with all that it could take, so that none makes room
#: for another. The service's own limit holds some 1,300 that are established.
MORE_MEMORY_BYTES: Final = 384 << 20
SOURCES: Final = ("attacker", "attacks", "grammar", "media_files", "media_reading", "report", "target")
MEDIA_HEADINGS: Final = ("source", "upload, MB", "memory, MiB", "read or refused after, s", "result")
#: The service's own.
LIMITS: Final = MediaLimits(max_duration_s=5 * 3600, max_bytes=5 << 30)


def main() -> int:
    """Run all attacks, or some; write the results of all that were run since the last time."""
    parser = argparse.ArgumentParser(prog="make security", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the same choices")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of an attack")
    parser.add_argument("--only", default="", help="a part of the names of the attacks to run")
    parser.add_argument("--part", choices=PARTS, action="append", help="only these")
    parser.add_argument("--write", action="store_true", help="run nothing, write what earlier calls found")
    parser.add_argument("--note", default="", help="a sentence for the results, such as what else ran")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=170)
    report = Report(
        "security", "Attacks on a running service", [f"tests/security/{name}.py" for name in SOURCES]
    )
    if not asked.write:
        console.print(f"seed {seed}")
        for part in asked.part or PARTS:
            rows = (
                media(asked.only) if part == "media" else connections(part, asked.only, asked.seconds, seed)
            )
            for row in rows:
                console.print(
                    " · ".join(row["cells"]), style="red" if row["faults"] else "dim", soft_wrap=True
                )
                keep(part, row | {"seed": seed})
    found = {part: list(kept(part).values()) for part in PARTS}
    if asked.write or not (asked.only or asked.part):
        write(report, found, asked.note)
    return 1 if any(row["faults"] for rows in found.values() for row in rows) else 0


def connections(part: str, only: str, seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """Attack the connections of a service."""
    # All must have the time to be established, also from one loaded machine.
    changes = {"idle_timeout_s": 120, "header_timeout_s": 30} if part.startswith("established") else {}
    if part == "established, more memory":
        changes |= {"connection_memory_bytes": MORE_MEMORY_BYTES, "max_connections": 2200}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), tls=part != "plain", **changes) as target,
    ):
        every = attacks(target, seconds, seed)
        if part.startswith("established"):
            name = part.replace("established", "established connections, silent")
            every = [replace(each, name=name) for each in established(seconds)]
        if part == "plain":
            every += large_pages(target, seconds)
        chosen = [each for each in every if only in each.name]
        for row in run(target, chosen, seed):
            memory, wait = row.memory_bytes / 2**20, row.seen.longest_s * 1000
            yield {"cells": row.cells, "faults": row.faults, "memory_mib": max(0.0, memory), "wait_ms": wait}


def media(only: str) -> Iterator[dict[str, Any]]:
    """Read hostile media."""
    decoder = Decoder()
    for name, (suffix, make, size) in media_reading.CASES.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"in.{suffix}"
            make(path, size)
            found = media_reading.read(decoder, path, LIMITS)
            upload, memory = path.stat().st_size / 1e6, found.peak_bytes / 2**20
        result = "; ".join(found.faults) or (type(found.error).__name__ if found.error else "read")
        cells = [name, f"{upload:,.1f}", f"{memory:.0f}", f"{found.seconds:.1f}", result]
        yield {"cells": cells, "faults": found.faults, "memory_mib": memory, "wait_ms": 0.0}
    decoder.close()


def keep(part: str, row: dict[str, Any]) -> None:
    """Keep a row in place of an earlier one of the same attack."""
    rows = kept(part) | {row["cells"][0]: row}
    ROWS.mkdir(parents=True, exist_ok=True)
    (ROWS / f"{part}.json").write_text(json.dumps(rows))


def kept(part: str) -> dict[str, dict[str, Any]]:
    """Return the rows that were kept, by attack."""
    path = ROWS / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(report: Report, found: dict[str, list[dict[str, Any]]], note: str) -> None:
    """Write the results, and forget their rows."""
    attacked = [*found["plain"], *found["tls"], *found["established"], *found["established, more memory"]]
    if attacked:
        report.add(
            "memory_mib", [row["memory_mib"] for row in attacked], unit="MiB", label="memory above idle"
        )
        report.add(
            "wait_ms", [row["wait_ms"] for row in attacked], unit="ms", label="wait of an honest client"
        )
        report.table("connections", HEADINGS, [row["cells"] for row in attacked])
    if found["media"]:
        values = [row["memory_mib"] for row in found["media"]]
        report.add("decoding_mib", values, unit="MiB", label="memory of a decoding process")
        report.table("media", MEDIA_HEADINGS, [row["cells"] for row in found["media"]])
    seeds = sorted({row["seed"] for rows in found.values() for row in rows})
    report.notes.append(
        f"Seeds: {', '.join(map(str, seeds))}. Attackers and service shared the cores. {note}".strip()
    )
    report.write()
    for part in PARTS:
        (ROWS / f"{part}.json").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
