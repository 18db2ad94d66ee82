"""Prints the time at which the first separated samples of a song exist, in a process that began cold.

python -m benchmarks.first_audio SONG
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from stemline.models.loading import load_engine
from stemline.separation.engine import Engine
from stemline.separation.media import MediaLimits, open_audio
from stemline.separation.separator import Separator


def main(song: Path) -> None:
    engine = load_engine("2stems")
    assert isinstance(engine, Engine)
    with open_audio(song, limits=MediaLimits(1e9, 1 << 60)) as audio, Separator(engine) as separator:
        next(separator.separate(audio))
        print(f"FIRST {time.time():.4f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
