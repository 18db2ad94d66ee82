"""A separation worker whose engine only sleeps, as a processor waits for its GPU; everything else is real.

The time it sleeps is STUB_SLEEP_S; each separation leaves one byte in the file STUB_CALLS, so that work done
twice shows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemline.cli.main import main
from stemline.separation.media import EncodedStem, OutputSpec
from stemline.separation.pipeline import Report
from stemline.workers import engines, stages
from tests.support.stems import NO_MEDIA_INFO


class Engine:
    """Where a real engine would be."""

    device = "stub"


def separate(_engine: Any, _source: Path, outputs: Mapping[str, OutputSpec], **_options: Any) -> Report:
    """Sleep, and write a kilobyte for each stem."""
    seconds = float(os.environ["STUB_SLEEP_S"])
    descriptor = os.open(os.environ["STUB_CALLS"], os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b".")
    os.close(descriptor)
    time.sleep(seconds)
    stems = {}
    for name, spec in outputs.items():
        content = os.urandom(1024)
        spec.path.write_bytes(content)
        stems[name] = EncodedStem(spec.path, len(content), NO_MEDIA_INFO)
    return Report(
        duration_s=seconds, samples=0, seconds={"total": seconds}, device=Engine.device, stems=stems
    )


if __name__ == "__main__":
    patched: Any = stages
    patched.separate_file = separate
    patched = engines
    patched.load_engine = lambda _model, **_: Engine()
    main()
