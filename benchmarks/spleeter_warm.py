"""Times Spleeter's Separator after its first call; runs in Spleeter's own environment.

python -m benchmarks.spleeter_warm SONG FOLDER RUNS
"""

from __future__ import annotations

import sys
import time

from spleeter.separator import Separator


def main(song: str, folder: str, runs: int) -> None:
    separator = Separator("spleeter:2stems", multiprocess=False)
    for run in range(runs + 1):
        started = time.perf_counter()
        separator.separate_to_file(song, folder)
        if run:
            print(f"SECONDS {time.perf_counter() - started:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
