"""The weights, and the engine on its device."""

from __future__ import annotations

import time
from collections.abc import Iterator

from stemline.cli.checks.findings import Finding, Patient, bad, ok, skipped, warning


def weights(patient: Patient) -> Iterator[Finding]:
    """The weights of both models, against their checksums."""
    try:
        from stemline.models.catalogue import model_named
        from stemline.models.weights import WeightStore
        from stemline.separation.errors import SeparationError
    except ModuleNotFoundError:
        yield skipped("weights", "no engine is installed here")
        return
    kept = WeightStore(patient.settings.engine.models_dir)
    for name, what in (("2stems", "voice and background"), ("4stems", "MusicMode")):
        try:
            folder = kept.verified(model_named(name))
        except (SeparationError, OSError) as error:
            said = error.message if isinstance(error, SeparationError) else str(error)
            needed = name == "2stems" or name in patient.settings.engine.preload_models
            judge = bad if needed else warning
            yield judge("weights", f"{what}: {said}", f"run `stemline models pull {name}`")
        else:
            yield ok("weights", f"{name} in {folder}")


def device(patient: Patient) -> Iterator[Finding]:
    """The engine, started on its device."""
    try:
        from stemline.models.loading import load_engine
        from stemline.separation.errors import SeparationError
    except ModuleNotFoundError:
        yield skipped("device", "no engine is installed here")
        return
    settings = patient.settings
    began = time.monotonic()
    try:
        loaded = load_engine(
            "2stems",
            engine=settings.engine.name,
            device=settings.engine.device,
            directory=settings.engine.models_dir,
            threads=settings.engine.threads or None,
        )
    except (SeparationError, ImportError) as error:
        said = error.message if isinstance(error, SeparationError) else f"{error} is not installed"
        yield bad("device", said, "see STEMLINE_ENGINE and STEMLINE_DEVICE, and the driver of the device")
    else:
        found = f"{settings.engine.name} on {loaded.device}, ready in {time.monotonic() - began:.1f} s"
        yield ok("device", found)
