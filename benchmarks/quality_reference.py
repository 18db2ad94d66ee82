"""Separates mixes with Spleeter, in its own environment: python -m benchmarks.quality_reference FOLDER.

In FOLDER each mix is a folder with `mix.npy` (samples, 2); what Spleeter makes of it with either extension is
written beside it as `Spleeter, EXTENSION.npy` (2, samples, 2), voice and background, unless it is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from spleeter.separator import Separator


def main(folder: Path) -> None:
    songs = sorted(path for path in folder.iterdir() if (path / "mix.npy").is_file())
    for extension in ("zeros", "average"):
        separator = Separator("spleeter:2stems", multiprocess=False)
        separator._params["mask_extension"] = extension  # noqa: SLF001  # it has no other way
        for song in songs:
            target = song / f"Spleeter, {extension}.npy"
            if target.exists():
                continue
            stems = separator.separate(np.load(song / "mix.npy"))
            both = np.stack([stems["vocals"], stems["accompaniment"]])
            np.save(target, both)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
