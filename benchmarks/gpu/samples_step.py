"""What the graph from samples to stems computes, and how fast."""

# ruff: noqa: PLC0415 - each step loads only what it uses

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.songs import Result

#: Runs of a batch by each of two threads.
_RUNS = {"cuda": 20, "cpu": 1}


def samples_graph() -> Path | bytes:
    """Return the 2-stem graph from samples to stems, whose weights must be here."""
    from stemline.models.catalogue import model_named
    from stemline.models.graph_cache import cached_graph, write_graph
    from stemline.models.weights import WeightStore

    store, model = WeightStore(), model_named("2stems")
    folder = store.folder(model)
    return cached_graph(model, folder, polyphase=False, samples=True) or write_graph(
        model, store.verified(model), polyphase=False, samples=True
    )


def samples(device: str, masks: Callable[[], Any]) -> Result:
    """Compare stems with those of the host's transforms, and measure one and two batches at a time.

    Args:
        device: `cuda` or `cpu`.
        masks: Opens the graph of the masks on the processor.
    """
    from stemline.separation import stft
    from stemline.separation.extension import Extension
    from stemline.separation.network import NETWORK_BINS, SEGMENT_FRAMES
    from stemline.separation.samples_runner import output_name
    from stemline.separation.sessions import Session, cuda_card

    if device == "cuda":
        cuda_card()
    shape = (stft.span(SEGMENT_FRAMES), 2)
    one = np.random.default_rng(1).standard_normal(shape, dtype=np.float32) * np.float32(0.1)
    spectrum = stft.forward(np.ascontiguousarray(one.T), NETWORK_BINS)
    shares = [each[0] for each in masks().run(None, {"magnitude": stft.magnitude(spectrum)[np.newaxis]})]
    session = Session("2stems", samples_graph(), device)
    facts = {}
    for extension in Extension:
        worst = 0.0
        for name, share in zip(("vocals", "accompaniment"), shares, strict=True):
            expected = stft.share(one.T, spectrum, share, extension.share(share))
            found = np.empty((1, *shape), np.float32)
            session.run_into(one[np.newaxis], {output_name(name, extension): found})
            worst = max(worst, float(np.abs(found[0].T - expected).max()))
        facts[f"largest difference of a sample, {extension}"] = f"{worst:.2e}"
    figures: dict[str, Any] = {}
    for size in (1, 16) if device == "cuda" else (1,):
        sized = Session("2stems", samples_graph(), device)
        for at_once in (1, 2):
            took, cpu = _timed(sized, one, size, at_once, _RUNS[device])
            label = f"one segment, {at_once} of {size} at a time"
            figures[f"size_{size}_{at_once}"] = (label, "ms", [took])
            figures[f"host_{size}_{at_once}"] = (f"{label}, host", "ms of processor", [cpu])
    return {"facts": facts, "figures": figures}


def _timed(session: Any, one: NDArray[np.float32], size: int, at_once: int, runs: int) -> tuple[float, float]:
    """Return the time and the processor time of a segment, ms, with so many batches at a time."""
    from stemline.separation.cuda import page_locked
    from stemline.separation.extension import Extension
    from stemline.separation.samples_runner import output_name

    name = output_name("vocals", Extension.AVERAGE)
    buffers = [(page_locked((size, *one.shape)), page_locked((size, *one.shape))) for _ in range(at_once)]
    for given, _ in buffers:
        given[:] = one

    def run(given: Any, result: Any, runs: int) -> None:
        for _ in range(runs):
            session.run_into(given, {name: result})

    run(*buffers[0], 2)
    began, used = time.perf_counter(), time.process_time()
    threads = [Thread(target=run, args=(*each, runs)) for each in buffers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    segments = size * at_once * runs / 1000
    return (time.perf_counter() - began) / segments, (time.process_time() - used) / segments
