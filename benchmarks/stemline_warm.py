"""Times separate_file in a process whose engine is warm.

python -m benchmarks.stemline_warm SONG FOLDER RUNS
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import structlog

from stemline.models.loading import load_engine
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import separate_file


def main(song: Path, folder: Path, runs: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    engine = load_engine("2stems")
    outputs = {name: OutputSpec(folder / f"{name}.wav", "wav") for name in engine.network.instruments}
    for run in range(runs + 1):
        started = time.perf_counter()
        separate_file(engine, song, outputs, limits=MediaLimits(1e9, 1 << 60))
        if run:
            print(f"SECONDS {time.perf_counter() - started:.3f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
