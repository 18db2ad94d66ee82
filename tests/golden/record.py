"""Records what Spleeter itself answers: run by `make golden` in .venv-reference, never by the tests.

    .venv-reference/bin/python -m tests.golden.record MODELS_DIR [WAV ...]

MODELS_DIR holds 2stems/ with the real weights; each WAV (44.1 kHz, stereo, 16 bit) is kept as 2stems_NAME.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from spleeter.model import EstimatorSpecBuilder
from spleeter.separator import Separator
from spleeter.utils.configuration import load_configuration

from tests.golden import seeded, song
from tests.golden.excerpts import excerpt

#: `make parity` records into, and compares with, a folder of its own.
DATA = Path(os.environ.get("GOLDEN_DATA") or Path(__file__).parent / "data")
CHECKPOINT = 'model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n'


def main(models: Path, clips: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(models / "2stems", folder / "2stems")
        (folder / "2stems" / "checkpoint").write_text(CHECKPOINT)
        (folder / "2stems" / ".probe").write_text("OK")
        record_tensors(folder / "2stems")
        record_small_bundle(folder)
        record(folder / "2stems", "2stems_song", song.mix(song.stems(30.0)))
        for clip in clips:
            record(folder / "2stems", f"2stems_{clip.stem}", read_wav(clip))
        for name in ("4stems", "5stems"):
            write_random_checkpoint(name, folder / name)
            record(folder / name, f"{name}_song", song.mix(song.stems(13.0)))


def record(model: Path, name: str, waveform: np.ndarray) -> None:
    """Separate a waveform with both mask extensions and keep excerpts."""
    kept: dict[str, Any] = {}
    for extension in ("zeros", "average"):
        separator = Separator(f"spleeter:{model.name}", multiprocess=False)
        separator._params["model_dir"] = str(model)
        separator._params["mask_extension"] = extension
        for instrument, stem in separator.separate(waveform).items():
            assert stem.shape == waveform.shape
            kept[f"{extension}/{instrument}"] = excerpt(stem)
            sys.stderr.write(f"{name} {extension} {instrument}: rms {np.sqrt(np.mean(stem**2)):.4f}\n")
    kept["mix_sha256"] = np.array(hashlib.sha256(waveform.tobytes()).hexdigest())
    np.savez_compressed(DATA / f"{name}.npz", **kept)


def write_random_checkpoint(name: str, folder: Path) -> None:
    """Build Spleeter's own networks, give them seeded weights, and save them as TensorFlow does."""
    params = load_configuration(f"spleeter:{name}")
    with tf.Graph().as_default():
        waveform = tf.compat.v1.placeholder(tf.float32, (None, 2))
        builder = EstimatorSpecBuilder({"waveform": waveform}, {**params, "MWF": False})
        assert builder.outputs
        tf.compat.v1.train.get_or_create_global_step()
        variables = {variable.op.name: variable for variable in tf.compat.v1.global_variables()}
        expected = seeded.shapes(len(params["instrument_list"]))
        actual = {key: tuple(v.shape) for key, v in variables.items() if key != "global_step"}
        assert expected == actual
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            for key, shape in expected.items():
                variables[key].load(seeded.tensor(key, shape), session)
            folder.mkdir()
            tf.compat.v1.train.Saver().save(session, str(folder / "model"))
    (folder / "checkpoint").write_text(CHECKPOINT)
    (folder / ".probe").write_text("OK")


def record_tensors(folder: Path) -> None:
    """Keep name, shape and SHA-256 of every tensor of the real weights, read by TensorFlow's own reader."""
    write_json("2stems_tensors.json", describe(folder / "model"))


def record_small_bundle(scratch: Path) -> None:
    """Keep a small bundle of TensorFlow's making with several types, and what is in it."""
    rng = np.random.default_rng(5)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for number in range(150):
            shape = (number % 4 + 1, number % 3 + 1)
            tf.compat.v1.get_variable(
                f"some_longer_scope_{number % 7}/layer_{number}/kernel",
                initializer=rng.standard_normal(shape).astype(np.float32),
            )
        tf.compat.v1.get_variable("scalar", initializer=np.float32(3.5))
        tf.compat.v1.get_variable("double", initializer=np.array([1.0, 2.0], np.float64))
        tf.compat.v1.get_variable("step", initializer=np.int64(7))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(scratch / "small"), write_meta_graph=False)
    bundle = DATA / "small_bundle"
    bundle.mkdir(exist_ok=True)
    for suffix in ("index", "data-00000-of-00001"):
        shutil.copyfile(scratch / f"small.{suffix}", bundle / f"model.{suffix}")
    write_json("small_bundle.json", describe(bundle / "model"))


def describe(prefix: Path) -> dict[str, list[object]]:
    reader = tf.train.load_checkpoint(str(prefix))
    found: dict[str, list[object]] = {}
    for name in sorted(reader.get_variable_to_shape_map()):
        value = np.asarray(reader.get_tensor(name))
        found[name] = [value.dtype.str, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    return found


def write_json(name: str, content: object) -> None:
    (DATA / name).write_text(json.dumps(content, indent=0) + "\n")


def read_wav(path: Path) -> np.ndarray:
    import wave

    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (44_100, 2, 2)
        content = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (content.reshape(-1, 2) / 32768.0).astype(np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [clip for clip in map(Path, sys.argv[2:]) if clip.is_file()])
