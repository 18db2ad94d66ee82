"""What Spleeter needs around it to run here: a model folder of its own form, and FFmpeg's two programs.

Where FFmpeg is not installed, the program of the `imageio-ffmpeg` wheel in Spleeter's environment is used,
and a stand-in for ffprobe that asks PyAV for the three fields Spleeter reads (about 0.1 s, as ffprobe
itself).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY / ".venv-reference" / "bin" / "python"

_CHECKPOINT = 'model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n'
_FFPROBE = """#!{python}
import json, sys, av
with av.open(sys.argv[-1]) as media:
    audio = media.streams.audio[0]
    stream = {{"codec_type": "audio", "channels": audio.channels, "sample_rate": str(audio.rate)}}
print(json.dumps({{"streams": [stream]}}))
"""


def environment(folder: Path, weights: Path) -> dict[str, str]:
    """Prepare `folder` and return the environment in which Spleeter finds everything."""
    model = folder / "2stems"
    model.mkdir(parents=True)
    for name in ("model.data-00000-of-00001", "model.index"):
        (model / name).symlink_to(weights / name)
    (model / "checkpoint").write_text(_CHECKPOINT)
    (model / ".probe").write_text("OK")
    path = os.environ["PATH"]
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        programs = folder / "bin"
        programs.mkdir()
        question = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
        ffmpeg = subprocess.check_output([str(REFERENCE), "-c", question], text=True).strip()
        (programs / "ffmpeg").symlink_to(ffmpeg)
        (programs / "ffprobe").write_text(_FFPROBE.format(python=REFERENCE))
        (programs / "ffprobe").chmod(0o755)
        path = f"{programs}{os.pathsep}{path}"
    return {**os.environ, "MODEL_PATH": str(folder), "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
