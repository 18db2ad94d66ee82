"""The steps of the measurement: `python -m benchmarks.gpu.steps STEP DEVICE` prints a line of JSON.

Steps of several parts print one after each of them: the last line that is whole is the result.
"""

# ruff: noqa: PLC0415 - each step loads only what it uses

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.samples_step import samples
from benchmarks.gpu.songs import SEGMENT_S, Result, busy, host, so_far, songs
from benchmarks.gpu.versions_step import versions


def graph(*, polyphase: bool) -> Path | bytes:
    """Return the 2-stem graph, whose weights must be here."""
    from stemline.models.catalogue import model_named
    from stemline.models.graph_cache import cached_graph, write_graph
    from stemline.models.weights import WeightStore

    store, model = WeightStore(), model_named("2stems")
    return cached_graph(model, store.folder(model), polyphase=polyphase) or write_graph(
        model, store.verified(model), polyphase=polyphase
    )


def session(device: str, options: Mapping[str, str] | None = None, *, polyphase: bool = False) -> Any:
    """Return a session of ONNX Runtime; `options` are those of its CUDA provider."""
    from stemline.separation.onnx_runtime import onnx_runtime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        from stemline.separation.sessions import cuda_card

        cuda_card()
        if options and options.get("use_tf32") == "1":
            os.environ.pop("NVIDIA_TF32_OVERRIDE", None)
        providers = [("CUDAExecutionProvider", {"use_tf32": "0", **(options or {})}), *providers]
    found = graph(polyphase=polyphase)
    made = onnx_runtime().InferenceSession(
        found if isinstance(found, bytes) else str(found), providers=providers, enable_fallback=0
    )
    if device == "cuda" and made.get_providers()[0] != "CUDAExecutionProvider":
        raise SystemExit("ONNX Runtime could not load its CUDA provider")
    return made


def batch(size: int) -> np.ndarray:
    """Return test segments, (size, 2, 512, 1024)."""
    return np.abs(np.random.default_rng(1).standard_normal((size, 2, 512, 1024), dtype=np.float32)) * 5


def timed(run: Callable[[], object], *, runs: int, warm: int = 2) -> list[float]:
    """Return the time of each run after the first ones, ms."""
    taken = []
    for number in range(warm + runs):
        started = time.perf_counter()
        run()
        if number >= warm:
            taken.append((time.perf_counter() - started) * 1000)
    return taken


def timed_batch(one: Any, data: np.ndarray, *, runs: int) -> list[float]:
    """Return the time of each run of a batch in a session, ms."""
    return timed(lambda: one.run(None, {"magnitude": data}), runs=runs)


def runs_on(device: str) -> int:
    """Return how often something is repeated."""
    return 20 if device == "cuda" else 2


def parity(device: str) -> Result:
    """Compare the masks with the processor's, without and with TF32."""
    data = batch(2)
    expected = session("cpu").run(None, {"magnitude": data})
    facts = {}
    for tf32 in ("0", "1") if device == "cuda" else ("0",):
        masks = session(device, {"use_tf32": tf32}).run(None, {"magnitude": data})
        worst = max(float(np.abs(a - b).max()) for a, b in zip(masks, expected, strict=True))
        facts[f"largest difference of a mask, TF32 {'on' if tf32 == '1' else 'off'}"] = f"{worst:.2e}"
    return {"facts": facts}


def batch_sizes(device: str) -> Result:
    """Measure the time of a batch by its size; each size in a session of its own."""
    figures = {}
    for size in (1, 2, 4, 8, 16, 32) if device == "cuda" else (1, 2):
        one, data = session(device), batch(size)
        taken = timed_batch(one, data, runs=runs_on(device))
        figures[f"size_{size}"] = (
            f"one segment, in a batch of {size}",
            "ms",
            [each / size for each in taken],
        )
        best = size * SEGMENT_S * 1000 / min(taken)
        figures[f"speed_{size}"] = (f"speed in batches of {size}", "times real time", [best])
        so_far({"figures": figures})
    return {"figures": figures}


def size_change(device: str) -> Result:
    """Measure what it costs that the size of the batch changes from run to run in one session."""
    one = session(device)
    small, large = batch(1), batch(4 if device == "cuda" else 2)
    same = timed(lambda: one.run(None, {"magnitude": large}), runs=runs_on(device))

    def both() -> None:
        one.run(None, {"magnitude": small})
        one.run(None, {"magnitude": large})

    changing = timed(both, runs=runs_on(device))
    return {
        "figures": {
            "same": ("a batch after one of the same size", "ms", same),
            "changing": ("a batch and one of another size, in turn", "ms", changing),
        }
    }


def device_only(device: str) -> Result:
    """Measure the device alone: input and outputs stay in its memory."""
    from stemline.separation.onnx_runtime import onnx_runtime

    size = 8 if device == "cuda" else 1
    one, data = session(device), batch(size)
    binding = one.io_binding()
    where = "cuda" if device == "cuda" else "cpu"
    binding.bind_ortvalue_input("magnitude", onnx_runtime().OrtValue.ortvalue_from_numpy(data, where, 0))
    for output in one.get_outputs():
        binding.bind_output(output.name, where)

    def run() -> None:
        one.run_with_iobinding(binding)
        binding.synchronize_outputs()

    with_copies = timed(lambda: one.run(None, {"magnitude": data}), runs=runs_on(device))
    return {
        "figures": {
            "alone": (f"a batch of {size}, in the device's memory", "ms", timed(run, runs=runs_on(device))),
            "copies": ("the same with copies from and to the host", "ms", with_copies),
        }
    }


def provider_options(device: str) -> Result:
    """Measure options of the CUDA provider, a batch of 8."""
    if device != "cuda":
        return {"facts": {"options": "only on CUDA"}}
    figures = {}
    data = batch(8)
    for name, options in {
        "as the engine": {"arena_extend_strategy": "kSameAsRequested"},
        "channels last": {"prefer_nhwc": "1"},
        "heuristic search": {"cudnn_conv_algo_search": "HEURISTIC"},
        "default search": {"cudnn_conv_algo_search": "DEFAULT"},
        "arena by powers of two": {"arena_extend_strategy": "kNextPowerOfTwo"},
    }.items():
        one = session(device, options)
        taken = timed_batch(one, data, runs=10)
        figures[name.replace(" ", "_")] = (name, "ms", taken)
        so_far({"figures": figures})
    return {"figures": figures}


def graphs(device: str) -> Result:
    """Measure plain transposed convolutions against those taken apart."""
    figures = {}
    data = batch(8 if device == "cuda" else 1)
    for polyphase in (False, True):
        one = session(device, polyphase=polyphase)
        name = "taken apart" if polyphase else "plain"
        taken = timed_batch(one, data, runs=runs_on(device))
        figures[name.replace(" ", "_")] = (f"transposed convolutions {name}", "ms", taken)
    return {"figures": figures}


def transform(device: str) -> Result:
    """Measure the Fourier transforms of a segment on the host and, with torch, on the device."""
    from stemline.separation import stft
    from stemline.separation.extension import Extension
    from stemline.separation.network import NETWORK_BINS

    samples = np.random.default_rng(0).standard_normal((2, stft.span(512)), dtype=np.float32)
    spectrum = stft.forward(samples, NETWORK_BINS)
    masks = np.full((2, 512, 1024), 0.5, np.float32)
    runs = runs_on(device)
    figures = {
        "forward_host": (
            "forward, host",
            "ms",
            timed(lambda: stft.forward(samples, NETWORK_BINS), runs=runs),
        ),
        "inverse_host": (
            "mask and inverse, host",
            "ms",
            timed(lambda: stft.share(samples, spectrum, masks, Extension.AVERAGE.share(masks)), runs=runs),
        ),
    }
    if importlib.util.find_spec("torch") is None:
        return {"figures": figures, "facts": {"on the device": "torch is not installed"}}
    import torch

    data = torch.from_numpy(samples).to(device)
    window = torch.hann_window(4096, device=device)

    def on_device() -> None:
        torch.stft(data, 4096, 1024, window=window, center=False, return_complex=True).abs().sum().item()

    figures["forward_device"] = ("forward, device", "ms", timed(on_device, runs=runs))
    return {"figures": figures}


def out_of_memory(device: str) -> Result:
    """Ask for more memory than there is, and keep the words."""
    if device != "cuda":
        return {"facts": {"words": "only on CUDA"}}
    one = session(device)
    try:
        one.run(None, {"magnitude": np.zeros((1024, 2, 512, 1024), np.float32)})
    except Exception as error:  # noqa: BLE001 - its words are what is wanted
        return {"facts": {"words": " ".join(str(error).split())[:500], "type": type(error).__name__}}
    return {"facts": {"words": "1,024 segments fitted"}}


def ceiling(device: str) -> Result:
    """Measure the network in torch with random weights."""
    if importlib.util.find_spec("torch") is None:
        return {"facts": {"ceiling": "torch is not installed"}}
    from benchmarks.gpu.torch_ceiling import milliseconds

    figures = {}
    for size in (1, 16) if device == "cuda" else (1,):
        taken = milliseconds(device, size, runs_on(device))
        figures[f"torch_{size}"] = (
            f"one segment in torch, batch of {size}",
            "ms",
            [each / size for each in taken],
        )
    return {"figures": figures}


#: What runs each of the steps of the plan.
RUN: Mapping[str, Callable[[str], Result]] = {
    "versions": versions,
    "parity": parity,
    "samples": lambda device: samples(device, lambda: session("cpu")),
    "batch_sizes": batch_sizes,
    "songs": songs,
    "out_of_memory": out_of_memory,
    "size_change": size_change,
    "device_only": device_only,
    "ceiling": ceiling,
    "graphs": graphs,
    "provider_options": provider_options,
    "transform": transform,
    "busy": busy,
    "host": host,
}


if __name__ == "__main__":
    print(json.dumps(RUN[sys.argv[1]](sys.argv[2])))
