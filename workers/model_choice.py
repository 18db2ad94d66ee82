"""Which model answers a job, and which of its stems are the tracks of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from stemline.jobs.job import JobSpec
from stemline.jobs.separation import AudioMode, Track
from stemline.models.library import card_named, fingerprint
from stemline.models.weights import WeightStore
from stemline.runtime.settings.groups import EngineSettings
from stemline.separation.errors import CardError, OptionError, WeightsMissing

Mode = Literal["AudioAndBackground", "MusicMode"]
TWO: Final = "AudioAndBackground"
MUSIC: Final = "MusicMode"
#: The model of each mode where the settings name none.
USUAL: Final[Mapping[Mode, str]] = {TWO: "2stems", MUSIC: "4stems"}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model that answers a job.

    Attributes:
        name: Name of the model.
        version: What tells it from another of the same name; empty for a model that is built in.
        stems: The model's stem for each track of the mode.
    """

    name: str
    version: str
    stems: Mapping[Track, str]


def choose(spec: JobSpec, settings: EngineSettings) -> ModelChoice:
    """Return the model of a job: the one that it names, else that of the settings for its mode.

    Raises:
        WeightsMissing: This worker has no such model.
        CardError: The card of the model is wrong, or the model of the settings does not answer the mode.
        OptionError: The model that the job names does not answer the mode.
    """
    mode: Mode = MUSIC if spec.separate.audio_mode is AudioMode.MUSIC_MODE else TWO
    configured = settings.mode_models.get(mode, USUAL[mode])
    name = spec.separate.model or configured
    store = WeightStore(settings.models_dir)
    try:
        card = card_named(name, store)
    except OptionError as error:
        raise WeightsMissing(
            f"The model {name} is not on this worker; add it with `stemline models add`."
        ) from error
    tracks = card.tracks.get(mode)
    if tracks is None:
        modes = ", ".join(card.modes()) or "no mode"
        message = f"The model {name} does not answer {mode}; it answers {modes}."
        raise OptionError(message) if spec.separate.model else CardError(message)
    stems = {Track[track.upper()]: stem for track, stem in tracks.named().items()}
    return ModelChoice(name, fingerprint(card, store), stems)
