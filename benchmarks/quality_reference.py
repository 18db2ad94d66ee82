"""Separates songs with Spleeter and scores every system with BSS Eval; runs in Spleeter's own environment.

    python -m benchmarks.quality_reference FOLDER

In FOLDER each song is a folder with `mix.npy` (samples, 2), `truth.npy` (2, samples, 2) and one `NAME.npy`,
shaped like the truth, for each system that was run before. Prints one JSON object per song and system:
the median over windows of one second of SDR, SIR and SAR, for the voice and for the background.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import museval.metrics
import numpy as np
from spleeter.separator import Separator


def main(folder: Path) -> None:
    songs = sorted(path for path in folder.iterdir() if (path / "mix.npy").is_file())
    for extension in ("zeros", "average"):
        separator = Separator("spleeter:2stems", multiprocess=False)
        separator._params["mask_extension"] = extension  # noqa: SLF001  # it has no other way
        for song in songs:
            stems = separator.separate(np.load(song / "mix.npy"))
            both = np.stack([stems["vocals"], stems["accompaniment"]])
            np.save(song / f"Spleeter, {extension}.npy", both)
    for song in songs:
        truth = np.load(song / "truth.npy").astype(np.float64)
        for path in sorted(song.glob("*.npy")):
            if path.stem in ("mix", "truth"):
                continue
            estimate = np.load(path).astype(np.float64)
            sdr, _, sir, sar, _ = museval.metrics.bss_eval(truth, estimate, window=44_100, hop=44_100)
            scores = {
                name: np.nanmedian(values, axis=1).tolist()
                for name, values in (("SDR", sdr), ("SIR", sir), ("SAR", sar))
            }
            print("SCORE " + json.dumps({"song": song.name, "system": path.stem, **scores}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
