"""Models that are added, replaced and used by others, and cards that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stemline.models import bundled, installation, library
from stemline.models.card import CARD_FILE
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.errors import CardError, OptionError, SeparationError, WeightsCorrupt
from tests.support.networks import HEAD, WAVEFORM, card, scaling

FACTORS = (0.1, 0.2, 0.3, 0.4)
SAMPLES = 1_000


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "models")


def add(store: WeightStore, name: str, factors: tuple[float, ...] = FACTORS, **options: bool) -> None:
    folder = store.directory.parent
    network = scaling(folder / f"{name}.onnx", (2, SAMPLES), factors)
    installation.add(
        store, card(folder / f"{name}.toml", WAVEFORM, name=name, samples=SAMPLES), network, **options
    )


def ensemble(folder: Path, name: str, *members: str) -> Path:
    path = folder / f"{name}.toml"
    listed = "".join(f'[[members]]\nmodel = "{member}"\n' for member in members)
    path.write_text(f'name = "{name}"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}\n{listed}')
    return path


@pytest.mark.parametrize(
    "text",
    [
        'format = "spleeter"\nname = "bad"\nkind = "ratio-mask"\nstems = ["a"]\n' + HEAD,
        f'name = "bad"\nsize = {"9" * 5000}\n',
        "\ufeffname = 'bad'",
        "name = 'another'",
        "[" * 3000,
    ],
)
def test_a_wrong_card_takes_no_other_model_away(store: WeightStore, text: str) -> None:
    """A folder with a card that is wrong in any way is left out; the models beside it stay."""
    add(store, "good")
    (store.directory / "bad").mkdir()
    (store.directory / "bad" / CARD_FILE).write_text(text)

    assert "good" in library.cards(store)
    assert "bad" not in library.cards(store)
    with pytest.raises(CardError):
        library.card_named("bad", store)


def test_ensembles_that_name_each_other_are_refused_wherever_they_are_used(
    store: WeightStore, tmp_path: Path
) -> None:
    """Put into the folder by hand, they can be neither loaded nor told apart, and end no process."""
    for name, other in (("one", "two"), ("two", "one")):
        (store.directory / name).mkdir(parents=True)
        ensemble(tmp_path, name, other).rename(store.directory / name / CARD_FILE)
    for use in (library.fingerprint, library.members):
        with pytest.raises(CardError, match="ensemble itself"):
            use(library.card_named("one", store), store)
    with pytest.raises(CardError, match="ensemble itself"):
        load_engine("one", directory=store.directory)


def test_what_an_ensemble_averages_cannot_be_replaced_by_what_does_not_fit(
    store: WeightStore, tmp_path: Path
) -> None:
    """Neither an ensemble nor a network without the stem takes a member's place."""
    add(store, "own")
    add(store, "other")
    installation.add(store, ensemble(tmp_path, "both", "own"), None)
    with pytest.raises(CardError, match="cannot be a member of both"):
        installation.add(store, ensemble(tmp_path, "own", "other"), None, replace_it=True)
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=SAMPLES).read_text()
    (tmp_path / "own.toml").write_text(text.replace("vocals", "singing"))
    with pytest.raises(CardError, match="no stem vocals, which both takes"):
        installation.add(store, tmp_path / "own.toml", tmp_path / "own.onnx", replace_it=True)


def test_an_ensemble_is_here_with_its_members_alone(store: WeightStore, tmp_path: Path) -> None:
    """Without a member, or with a damaged one, neither `list` nor `verify` says that it could run."""
    add(store, "own")
    both = installation.add(store, ensemble(tmp_path, "both", "own"), None)
    assert library.is_here(both, store)
    assert library.verified(both, store) == store.directory / "both"
    network = store.directory / "own/own.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsCorrupt, match=r"own\.onnx has SHA-256"):
        library.verified(both, store)
    installation.remove(store, "own")
    assert not library.is_here(both, store)
    with pytest.raises(OptionError, match="no model 'own'"):
        library.verified(both, store)


def test_a_card_of_a_network_without_file_is_wrong(store: WeightStore) -> None:
    """A card that somebody put there by hand is neither listed nor run before it names its network."""
    add(store, "own")
    path = store.directory / "own" / CARD_FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "own.onnx" not in line))
    assert "own" not in library.cards(store)
    with pytest.raises(CardError, match="names no `file`"):
        load_engine("own", directory=store.directory)


def test_a_replaced_member_makes_another_ensemble(store: WeightStore, tmp_path: Path) -> None:
    """What tells an ensemble from another changes with the networks of its members."""
    add(store, "own")
    installation.add(store, ensemble(tmp_path, "both", "own"), None)
    before = library.fingerprint(library.card_named("both", store), store)
    add(store, "own", (0.4, 0.3, 0.2, 0.1), replace_it=True)
    assert before != library.fingerprint(library.card_named("both", store), store)


def test_a_network_with_weights_in_other_files_is_refused(store: WeightStore, tmp_path: Path) -> None:
    """`add` installs one file; it says how to make one of several."""
    network = scaling(tmp_path / "own.onnx", (2, SAMPLES), FACTORS)
    onnx.save_model(
        onnx.load(network), network, save_as_external_data=True, location="own.data", size_threshold=0
    )
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=SAMPLES)
    with pytest.raises(WeightsCorrupt, match="save it as one file"):
        installation.add(store, text, network)
    assert not (store.directory / "own").exists()


def elsewhere(tensor: Any) -> None:
    """Let the values of a constant be in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    location = tensor.external_data.add()
    location.key, location.value = "location", "/etc/passwd"


def dense(model: Any, values: Any) -> None:
    model.graph.initializer.append(values)


def sparse(model: Any, values: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(values)


def attribute(model: Any, values: Any) -> None:
    node = helper.make_node("Constant", [], ["constant"], value=values)
    model.graph.node.append(node)


def sparse_attribute(model: Any, values: Any) -> None:
    attribute(model, values)
    changed = model.graph.node[-1].attribute[0]
    changed.ClearField("t")
    changed.sparse_tensor.values.CopyFrom(values)


def function(model: Any, values: Any) -> None:
    node = helper.make_node("Constant", [], ["constant"], value=values)
    model.functions.add(name="own").node.append(node)


@pytest.mark.parametrize("put", [dense, sparse, attribute, sparse_attribute, function])
def test_weights_in_other_files_are_found_wherever_they_are(
    put: Callable[[Any, Any], None], store: WeightStore, tmp_path: Path
) -> None:
    """No constant of any kind may be in a file that the network names."""
    network = scaling(tmp_path / "own.onnx", (2, SAMPLES), FACTORS)
    model = onnx.load(network)
    values = numpy_helper.from_array(np.zeros(4, np.float32), "values")
    elsewhere(values)
    put(model, values)
    network.write_bytes(model.SerializeToString())
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=SAMPLES)
    with pytest.raises(WeightsCorrupt, match="save it as one file"):
        installation.add(store, text, network)


def test_what_add_installs_can_be_read_again(store: WeightStore, tmp_path: Path) -> None:
    """Characters that TOML does not hold as they are come back as they were."""
    network = scaling(tmp_path / "own.onnx", (2, SAMPLES), FACTORS)
    description = 'a\x7fb"\\\tc\n\u2028\U0001f3a4'
    escaped = r"a\u007fb\"\\\tc\n\u2028\U0001F3A4"
    options = f'description = "{escaped}"'
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=SAMPLES, options=options)
    installation.add(store, text, network)
    assert description == library.card_named("own", store).description


def test_a_model_that_was_added_meanwhile_is_not_replaced(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that are added at the same time, the second one is refused."""
    others: list[None] = []

    def added_meanwhile(*_: object) -> None:
        if not others:
            others.append(None)
            add(store, "own", (0.4, 0.3, 0.2, 0.1))

    monkeypatch.setattr(installation, "_try_out", added_meanwhile)
    with pytest.raises(OptionError, match="already"):
        add(store, "own")


def test_a_bundle_replaces_what_is_there(store: WeightStore, tmp_path: Path) -> None:
    """`pull NAME --from` installs what it is given, also over another network of the name that is whole."""
    other = WeightStore(tmp_path / "other" / "models")
    other.directory.mkdir(parents=True)
    add(store, "own")
    add(other, "own", (0.4, 0.3, 0.2, 0.1))
    bundled.install(store, "own", str(other.directory))
    versions = {library.fingerprint(library.card_named("own", each), each) for each in (store, other)}
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("nodes", "gives", "said"),
    [
        ([("Transpose", ["wide"], ["stems"], {"perm": [0, 1, 3, 2]})], [[4, SAMPLES, 2]], "its card says"),
        ([("Transpose", ["wide"], ["stems"], {"perm": [0, 3, 1, 2]})], [["s", "c", "t"]], "its card says"),
        ([("Identity", ["wide"], ["stems"], {}), ("Identity", ["mix"], ["more"], {})], None, "one output"),
        ([("Concat", ["wide", "wide"], ["stems"], {"axis": 0})], [["s", "c", "t"]], "several results"),
    ],
)
def test_a_network_that_gives_something_else_than_its_card_says_is_refused(
    store: WeightStore, tmp_path: Path, nodes: list, gives: list | None, said: str
) -> None:
    """As many values in another order, a second output and a second result for a segment are no stems."""
    takes = helper.make_tensor_value_info("mix", TensorProto.FLOAT, ["n", 2, SAMPLES])
    shapes = {"stems": gives[0] if gives else [4, 2, SAMPLES], "more": [2, SAMPLES]}
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["m", *shapes[name]])
        for node in nodes
        for name in node[2]
    ]
    first = [
        helper.make_node("Unsqueeze", ["mix", "axes"], ["one"]),
        helper.make_node("Mul", ["one", "factors"], ["wide"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1]), "axes"),
        numpy_helper.from_array(np.ones((1, 4, 1, 1), np.float32), "factors"),
    ]
    rest = [helper.make_node(kind, given, made, **options) for kind, given, made, options in nodes]
    graph = helper.make_graph([*first, *rest], "network", [takes], outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "own.onnx")
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=SAMPLES)
    with pytest.raises(SeparationError, match=said):
        installation.add(store, text, tmp_path / "own.onnx")
