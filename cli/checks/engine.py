"""Checks of the weights and of the engine on its device."""

from __future__ import annotations

import time
from collections.abc import Iterator

from stemline.cli.checks.findings import CheckContext, Finding, fail, ok, skip, warn


def weights(context: CheckContext) -> Iterator[Finding]:
    """Compare the weights of both models with their checksums."""
    try:
        from stemline.models.catalogue import BUILT_IN
        from stemline.models.library import card_named, published
        from stemline.models.weights import WeightStore
        from stemline.separation.errors import SeparationError
    except ModuleNotFoundError:
        yield skip("weights", "the extra `worker` is not installed here")
        return
    engine = context.settings.engine
    store = WeightStore(engine.models_dir)
    two = engine.mode_models.get("AudioAndBackground", "2stems")
    music = engine.mode_models.get("MusicMode", "4stems")
    for name, what in ((two, "voice and background"), (music, "MusicMode")):
        try:
            folder = store.verified(published(card_named(name, store)))
        except (SeparationError, OSError) as error:
            reason = error.message if isinstance(error, SeparationError) else str(error)
            needed = name == two or name in engine.preload_models
            report = fail if needed else warn
            command = f"pull {name}" if name in BUILT_IN else "add"
            yield report("weights", f"{what}: {reason}", f"run `stemline models {command}`")
        else:
            yield ok("weights", f"{name} in {folder}")


def device(context: CheckContext) -> Iterator[Finding]:
    """Load the engine on its device."""
    try:
        from stemline.models.loading import load_engine
        from stemline.separation.errors import SeparationError
    except ModuleNotFoundError:
        yield skip("device", "the extra `worker` is not installed here")
        return
    settings = context.settings
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
        reason = error.message if isinstance(error, SeparationError) else f"{error} is not installed"
        yield fail("device", reason, "check STEMLINE_ENGINE, STEMLINE_DEVICE and the driver of the device")
    else:
        message = f"{settings.engine.name} on {loaded.device}, ready in {time.monotonic() - began:.1f} s"
        yield ok("device", message)
