"""A separation worker with a stand-in for its card: python -m tests.support.cuda_worker FOLDER

Each batch on the card is a line of FOLDER/batches: its size and how many of its segments are not padding.
While FOLDER/fail exists, runs fail with its text; while FOLDER/hold does, they do not end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stemline.cli.main import main
from tests.support.cuda import Sessions, install


def run(folder: Path) -> None:
    """Run the command `stemline worker separate`."""
    sessions = Sessions()
    sessions.seconds = 0.2

    def on_batch(batch: np.ndarray) -> None:
        filled = int(np.any(batch, axis=(1, 2, 3)).sum())
        with (folder / "batches").open("a") as file:
            file.write(f"{len(batch)} {filled}\n")
        while (folder / "hold").exists():
            time.sleep(0.05)
        if (folder / "fail").exists():
            raise RuntimeError((folder / "fail").read_text())

    sessions.fail = on_batch
    install(pytest.MonkeyPatch(), sessions)
    main(["worker", "separate"])


if __name__ == "__main__":
    run(Path(sys.argv[1]))
