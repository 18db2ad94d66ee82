"""Times a song in 4 stems against the same in 2, warm and by turns, with seeded weights of the real shapes.

    python -m benchmarks.four_stems SONG FOLDER RUNS

Prints one JSON object: the median seconds of each.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from pathlib import Path

import structlog

from benchmarks.network import engine_of
from stemline.models.catalogue import MODELS
from stemline.separation.cpus import available_cpus
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import separate_file


def main(song: Path, folder: Path, runs: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    engines = {name: engine_of(MODELS[name], available_cpus()) for name in ("2stems", "4stems")}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for run in range(runs + 1):
        for name, engine in engines.items():
            outputs = {stem: OutputSpec(folder / f"{stem}.wav", "wav") for stem in engine.network.instruments}
            started = time.perf_counter()
            separate_file(engine, song, outputs, limits=MediaLimits(1e9, 1 << 60))
            if run:
                seconds[name].append(time.perf_counter() - started)
    print(json.dumps({name: statistics.median(values) for name, values in seconds.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
