"""Checks of the weights and of the engine on its device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from stemline.cli.checks.findings import CheckContext, Finding, fail, ok, skip, warn

if TYPE_CHECKING:
    from stemline.runtime.settings.groups import EngineSettings


_COMPILE = "install gcc or clang, and then Stemline again"


def weights(context: CheckContext) -> Iterator[Finding]:
    """Compare the weights of the models that the settings name with their checksums."""
    try:
        from stemline.models.catalogue import BUILT_IN
        from stemline.models.library import card_named, verified
        from stemline.models.weights import WeightStore
        from stemline.separation.errors import SeparationError
    except ModuleNotFoundError:
        yield skip("weights", "the extra `worker` is not installed here")
        return
    engine = context.settings.engine
    store = WeightStore(engine.models_dir)
    two, music = _mode_models(engine)
    uses = {two: "voice and background", music: "MusicMode"} if two != music else {two: "all modes"}
    uses |= {name: "loaded at the start" for name in engine.preload_models if name not in uses}
    for name, what in uses.items():
        try:
            folder = verified(card_named(name, store), store)
        except (SeparationError, OSError) as error:
            reason = error.message if isinstance(error, SeparationError) else str(error)
            needed = name == two or name in engine.preload_models
            report = fail if needed else warn
            command = f"pull {name}" if name in BUILT_IN else "add"
            reason = reason.partition("; fetch them")[0]  # the advice says that
            yield report("weights", f"{what}: {reason}", f"run `stemline models {command}`")
        else:
            yield ok("weights", f"{name} in {folder}")


def device(context: CheckContext) -> Iterator[Finding]:
    """Load a model on the engine's device: of those that the settings name the first one that is here."""
    try:
        from stemline.models.library import cards, is_here
        from stemline.models.loading import load_engine
        from stemline.models.weights import WeightStore
        from stemline.separation.errors import SeparationError, WeightsError
    except ModuleNotFoundError:
        yield skip("device", "the extra `worker` is not installed here")
        return
    settings = context.settings
    began = time.monotonic()
    try:
        store = WeightStore(settings.engine.models_dir)
        here = [name for name, card in cards(store).items() if is_here(card, store)]
        named = [*_mode_models(settings.engine), *settings.engine.preload_models]
        model = next((name for name in [*named, *here] if name in here), None)
        if model is None:
            yield skip("device", f"no model is in {store.directory} that could be loaded")
            return
        loaded = load_engine(
            model,
            engine=settings.engine.name,
            device=settings.engine.device,
            directory=settings.engine.models_dir,
            threads=settings.engine.threads or None,
            transform=settings.engine.gpu_transform,
            kernels=settings.engine.kernels,
        )
    except WeightsError as error:
        yield fail("device", error.message, "see `stemline models verify`; nothing was run on the device")
    except (SeparationError, ImportError, OSError) as error:
        reason = error.message if isinstance(error, SeparationError) else f"{error} is not installed"
        yield fail("device", reason, "check STEMLINE_ENGINE, STEMLINE_DEVICE and the driver of the device")
    else:
        took_s = time.monotonic() - began
        # On a card it is of interest, and other engines have no such choice.
        where = getattr(loaded, "transform", "host")
        on_card = f", samples transformed on the {where}" if loaded.device != "cpu" else ""
        what = f"{settings.engine.name} on {loaded.device}{on_card}"
        yield ok("device", f"{what}, {model} ready in {took_s:.1f} s")


def kernels(context: CheckContext) -> Iterator[Finding]:
    """Say which compiled kernels run Spleeter's models on CPUs here."""
    from stemline.separation.errors import SeparationError
    from stemline.separation.native.library import find

    engine = context.settings.engine
    if find_spec("onnxruntime") is None:
        yield skip("kernels", "the extra `worker` is not installed here")
    elif engine.kernels == "off":
        yield ok("kernels", "switched off by STEMLINE_KERNELS: ONNX Runtime runs the networks")
    elif engine.device == "cuda":
        yield skip("kernels", "they are for CPUs, and STEMLINE_DEVICE is cuda")
    else:
        try:
            found = find(engine.kernels)
        except SeparationError as error:
            yield fail("kernels", error.message, f"set STEMLINE_KERNELS=auto, or {_COMPILE}")
            return
        if found.library is None:
            what = f"{found.reason}: ONNX Runtime runs the networks, which takes longer"
            yield warn("kernels", what, _COMPILE)
        else:
            yield ok("kernels", f"those for {found.instructions} run Spleeter's models on CPUs")


def _mode_models(engine: EngineSettings) -> tuple[str, str]:
    """Return the models that answer voice and background, and MusicMode."""
    models = engine.mode_models
    return models.get("AudioAndBackground", "2stems"), models.get("MusicMode", "4stems")
