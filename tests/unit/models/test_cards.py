"""Cards of models: what they may say, and how a mistake is reported."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from stemline.cli.main import main
from stemline.models import bundled, installation, library
from stemline.models.card import Card, Kind
from stemline.models.card_file import card_text, read_card
from stemline.models.card_tables import Member
from stemline.models.catalogue import BUILT_IN, MODELS
from stemline.models.weights import WeightStore
from stemline.separation.errors import CardError, WeightsCorrupt
from tests.support.networks import WAVEFORM as NETWORK
from tests.support.networks import card, scaling
from tests.support.snippets import run_by

CARD = """\
name = "bands"
kind = "waveform"
stems = ["drums", "bass", "other", "vocals"]
licence = "MIT"
source = "https://example.org/bands"

[segment]
samples = 343980
overlap = 0.25

[mix_less]
accompaniment = ["vocals"]

[tracks.AudioAndBackground]
voice = "vocals"
background = "accompaniment"

[[members]]
model = "other"
"""
WAVEFORM = CARD[: CARD.index("\n[[members]]")]
SPECTRUM = "[spectrum]\nn_fft = 6144\nbins = 2048\nframes = 256\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text)
    return path


def test_a_card_says_what_a_network_computes(tmp_path: Path) -> None:
    """Stems, segment and tracks are read; a stem made by subtraction counts as one."""
    read = read_card(written(tmp_path, WAVEFORM))
    assert read.kind is Kind.WAVEFORM
    assert read.all_stems == ("drums", "bass", "other", "vocals", "accompaniment")
    assert read.segment.samples == 343_980
    assert read.modes() == ("AudioAndBackground",)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_written_card_is_the_card_again(tmp_path: Path, name: str) -> None:
    """What `models show` prints is the same card when it is read."""
    assert read_card(written(tmp_path, card_text(BUILT_IN[name]))) == BUILT_IN[name]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors begin a file with one; the card behind it is read."""
    assert read_card(written(tmp_path, "\ufeff" + WAVEFORM)) == read_card(written(tmp_path, WAVEFORM))


def test_cards_of_ensembles_and_spectra_are_written_whole(tmp_path: Path) -> None:
    """Members with weights, transforms and quotes survive being written."""
    ensemble = Card(
        name="both",
        kind=Kind.ENSEMBLE,
        stems=("vocals",),
        licence='"as is"',
        source="a\\b",
        members=(Member(model="one", weights={"vocals": 0.5}), Member(model="two")),
        measured={"sdr": "7.5 dB"},
    )
    assert read_card(written(tmp_path, card_text(ensemble))) == ensemble
    text = WAVEFORM.replace("waveform", "complex-spectrogram").replace("samples = 343980\n", "") + SPECTRUM
    read = read_card(written(tmp_path, text))
    assert read_card(written(tmp_path, card_text(read))) == read


def test_built_in_models_have_the_cards_of_their_weights() -> None:
    """Name, stems and checksum of a built-in card are those by which its weights are verified."""
    for name, kept in BUILT_IN.items():
        weights = MODELS[name]
        assert (name, weights.instruments, weights.data.sha256) == (kept.name, kept.stems, kept.sha256)


@pytest.mark.parametrize(
    ("old", "new", "report"),
    [
        ('"waveform"', '"wave"', "line 2, kind: "),
        ('"waveform"', '"ensemble"', "members: a model of the kind ensemble needs it"),
        ('"waveform"', '"ratio-mask"', "spectrum: a model of the kind ratio-mask needs it"),
        ('"bands"', '"../bands"', "line 1, name: "),
        ('licence = "MIT"\n', "", "licence: is missing"),
        ("MIT", " ", "line 4, licence: must not be empty"),
        ('"bass"', '"drums"', "line 3, stems.1: 'drums' is named twice"),
        ("overlap = 0.25", "overlap = 1.5", "line 9, segment.overlap: must be from 0 to 0.9"),
        ("overlap = 0.25", "overlap = nan", "line 9, segment.overlap: must be from 0 to 0.9"),
        ("overlap = 0.25", "overlop = 0.25", "line 9, segment.overlop: there is no such field"),
        ("samples = 343980", 'samples = "long"', "line 8, segment.samples: "),
        ("samples = 343980\n", "", "line 7, segment: a model of the kind waveform needs it"),
        ("overlap = 0.25", 'window = "middle"', "line 9, segment.window: `middle` needs a spectrum"),
        ('["vocals"]', '["voice"]', "line 12, mix_less.accompaniment: there is no stem 'voice'"),
        ('voice = "vocals"', 'voice = "lead"', "line 15, tracks.AudioAndBackground.voice: there is no stem"),
        (
            'voice = "vocals"\n',
            "",
            "line 14, tracks.AudioAndBackground: must name the tracks voice, background",
        ),
        ("tracks.AudioAndBackground", "tracks.Karaoke", "line 14, tracks.Karaoke: there is no such mode"),
        ("[segment]", "[segment", "at line 7"),
        ("[segment]", "rate = 7999\n[segment]", "line 7, rate: must be from 8000 to 192000 Hz"),
        ("[segment]", "rate = 192001\n[segment]", "line 7, rate: must be from 8000 to 192000 Hz"),
        ("[segment]", "channels = 6\n[segment]", "line 7, channels: must be 2, or 1 for"),
        ("[segment]", 'sha256 = "abc"\n[segment]', "line 7, sha256: must be 64"),
        ("[segment]", 'file = "../net.onnx"\n[segment]', "line 7, file: must be the name of a file"),
        ("[segment]", r'file = "a\u0000b"' + "\n[segment]", "line 7, file: must be the name of a file"),
        ("[segment]", f'file = "{"ä" * 128}"\n[segment]', "line 7, file: must have at most 255 bytes"),
        ("[segment]", 'rate = "44100"\n[segment]', "line 7, rate: Input should be a valid integer"),
        ("[segment]", "channels = true\n[segment]", "line 7, channels: Input should be a valid integer"),
        ("[segment]", "channels = 2.0\n[segment]", "line 7, channels: Input should be a valid integer"),
        ("overlap = 0.25", 'overlap = "0.5"', "line 9, segment.overlap: Input should be a valid number"),
        ("[segment]", "description = 1\n[segment]", "line 7, description: Input should be a valid string"),
        ("[segment]", "spectrum = 5\n[segment]", "line 7, spectrum: must be a table"),
        ("[segment]", "measured = 5\n[segment]", "line 7, measured: must be a table"),
        ("[segment]", "[measured]\nsdr = nan\n[segment]", "line 8, measured.sdr: must be a finite number"),
        ("[segment]", f"size = {'9' * 5000}\n[segment]", "has a number of thousands of digits"),
        ("[segment]", "size = 1979-05-27\n[segment]", "1979-05-27 is a date or a time"),
        ("[segment]", f"file = {'[' * 300}{']' * 300}\n[segment]", "is nested too deeply"),
        (
            "[segment]",
            "[measured]\nsdr = [1, 2]\n[segment]",
            "line 8, measured.sdr: must be text or a number",
        ),
        ("[segment]", "[measured]\nsdr = true\n[segment]", "line 8, measured.sdr: must be text or a number"),
        (
            "[segment]",
            "[spectrum]\nn_fft = 6144\nbins = 2048\nframes = 256\n[segment]",
            "line 7, spectrum: a model",
        ),
    ],
)
def test_a_mistake_is_reported_with_line_and_field(tmp_path: Path, old: str, new: str, report: str) -> None:
    """The error names the file, the line, the field, and what is wrong."""
    assert old in WAVEFORM
    path = written(tmp_path, WAVEFORM.replace(old, new, 1))
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert str(path) in caught.value.message
    assert report in caught.value.message


@pytest.mark.parametrize(
    ("value", "report"),
    [
        ("n_fft = 7", "line 8, spectrum.n_fft"),
        ("hop = 0", "line 11, spectrum.hop"),
        ("bins = 3074", "line 9, spectrum.bins: must be from 1 to 3073"),
        ("frames = 2", "line 10, spectrum.frames"),
        ("compensation = nan", "line 11, spectrum.compensation"),
    ],
)
def test_a_transform_is_checked(tmp_path: Path, value: str, report: str) -> None:
    """A transform that cannot be is reported by its field."""
    key = value.partition(" ")[0]
    head = WAVEFORM.replace("waveform", "complex-spectrogram").replace(
        "[segment]\nsamples = 343980\noverlap = 0.25\n", ""
    )
    lines = [line for line in SPECTRUM.splitlines() if not line.startswith(key)]
    position = {"n_fft": 1, "bins": 2, "frames": 3}.get(key, len(lines))
    lines.insert(position, value)
    first, rest = head.split("\n[mix_less]")
    path = written(tmp_path, first + "\n".join(lines) + "\n\n[mix_less]" + rest)
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert report in caught.value.message


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000, b"a = [" * 3000])
def test_what_is_no_card_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no text, a large file and deep nesting end as a CardError."""
    path = tmp_path / "card.toml"
    path.write_bytes(content)
    with pytest.raises(CardError):
        read_card(path)


def test_the_cards_of_the_page(tmp_path: Path) -> None:
    """Each card of docs/models.md can be read."""
    names = [
        read_card(written(tmp_path, code)).name for code in run_by("test_cards::test_the_cards_of_the_page")
    ]
    assert names == ["htdemucs", "mdx-voice", "voice-average"]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["models", *map(str, arguments)])
    return result.exit_code, result.output


def test_built_in_models_are_listed_and_shown(tmp_path: Path) -> None:
    """`list` names kind and licence of what is built in, and `show` prints its card."""
    code, listed = run("list", "--json", "--directory", tmp_path)
    assert code == 0
    first = json.loads(listed.splitlines()[0])
    assert first == {
        "name": "2stems",
        "here": False,
        "stems": ["vocals", "accompaniment"],
        "kind": "ratio-mask",
        "modes": ["AudioAndBackground"],
        "licence": "MIT",
    }
    code, shown = run("show", "2stems", "--directory", tmp_path)
    assert (code, shown.partition("# Jobs")[0]) == (0, card_text(BUILT_IN["2stems"]))


def test_the_limits_of_a_model_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`show` ends with how many jobs of the model run at once and for how long, by the settings."""
    monkeypatch.setenv("STEMLINE_MODEL_LIMITS", '{"2stems": 3}')
    monkeypatch.setenv("STEMLINE_MODEL_TIME_LIMITS_S", '{"2stems": 900}')
    directory = ("--directory", tmp_path)
    assert run("show", "2stems", *directory)[1].endswith(
        "# Jobs at once: 3. Time limit of an attempt: 900 s.\n"
    )
    assert (
        "as many as there are workers. Time limit of an attempt: 21600 s."
        in run("show", "4stems", *directory)[1]
    )
    shown = json.loads(run("show", "2stems", "--json", *directory)[1])
    assert (shown["jobs_at_once"], shown["time_limit_s"]) == (3, 900)


def test_a_network_is_added_and_removed(tmp_path: Path) -> None:
    """`add` installs a network that fits its card, `verify` knows it, and `remove` takes it away."""
    directory = ("--directory", tmp_path / "models")
    network = scaling(tmp_path / "net.onnx", (2, 1_000), (0.1, 0.2, 0.3, 0.4))
    text = card(tmp_path / "card.toml", NETWORK, name="mine", samples=1_000)
    assert run("add", network, "--card", text, *directory) == (0, f"{tmp_path}/models/mine\n")
    code, output = run("add", network, "--card", text, *directory)
    assert code != 0
    assert "--replace" in output
    assert run("add", network, "--card", text, "--replace", *directory)[0] == 0
    assert '"name": "mine", "here": true' in run("list", "--json", *directory)[1]
    assert run("verify", *directory) == (0, f"{tmp_path}/models/mine: as its card says\n")
    shown = read_card(written(tmp_path, run("show", "mine", *directory)[1]))
    assert (shown.file, shown.size) == ("net.onnx", network.stat().st_size)
    assert run("bundle", "mine", "-o", tmp_path / "mine.tar", *directory)[0] == 0
    assert run("remove", "mine", *directory)[0] == 0
    assert run("show", "mine", *directory)[0] != 0


#: Cards in which every field is given that a kind can have, as the parts of their TOML.
WHOLE: dict[str, dict[str, dict[str, Any]]] = {
    "waveform": {
        "": {
            "name": "x",
            "kind": "waveform",
            "stems": ["vocals", "drums"],
            "licence": "MIT",
            "source": "here",
            "format": "onnx",
            "file": "a.onnx",
            "sha256": "0" * 64,
            "size": 5,
            "description": "text",
            "rate": 44_100,
            "channels": 2,
            "normalisation": "none",
            "memory_mb": 5.0,
        },
        "segment": {"samples": 1_000, "overlap": 0.25, "window": "triangle", "at_once": 1, "batch": 1},
        "mix_less": {"rest": ["vocals"]},
        "tracks.AudioAndBackground": {"voice": "vocals", "background": "rest"},
    },
    "ratio-mask": {
        "": {"name": "x", "kind": "ratio-mask", "stems": ["vocals"], "licence": "MIT", "source": "here"},
        "spectrum": {
            "n_fft": 2_048,
            "hop": 512,
            "bins": 1_025,
            "frames": 100,
            "compensation": 1.0,
            "zeroed_bins": 0,
            "power": 1.0,
        },
    },
    "ensemble": {
        "": {"name": "x", "kind": "ensemble", "stems": ["vocals"], "licence": "MIT", "source": "here"},
        "[members]": {"model": "other", "weights": {"vocals": 1.0}},
    },
}


def toml(parts: dict[str, dict[str, str]]) -> str:
    return "".join(
        (f"[{name}]\n" if name else "") + "".join(f"{key} = {value}\n" for key, value in part.items())
        for name, part in parts.items()
    )


@pytest.mark.parametrize("kind", WHOLE)
def test_a_value_of_another_type_is_named_with_its_line(tmp_path: Path, kind: str) -> None:
    """Whatever stands in whichever field, the error is one line with the file, the line and the field."""
    texts = {
        name: {
            key: str(value).replace("'", '"').replace("{", "{ ").replace('"vocals":', "vocals =")
            if not isinstance(value, str)
            else json.dumps(value)
            for key, value in part.items()
        }
        for name, part in WHOLE[kind].items()
    }
    read_card(written(tmp_path, toml(texts)))
    assert texts[""]
    for name, part in texts.items():
        for key, sound in part.items():
            for other in ('"text"', "5.5", "true", "[]", "[[1]]", "{ a = 1 }", "1979-05-27", "nan"):
                if (type(WHOLE[kind][name][key]), other) in {(str, '"text"'), (float, "5.5")}:
                    continue
                wrong = texts | {name: part | {key: other}}
                lines = toml(wrong)
                with pytest.raises(CardError) as caught:
                    read_card(written(tmp_path, lines))
                message = caught.value.message
                assert "\n" not in message
                assert message.startswith(str(tmp_path / "card.toml"))
                if other == "1979-05-27":
                    continue  # a date is named itself
                number = lines.split("\n").index(f"{key} = {other}") + 1
                assert f", line {number}, " in message, (key, other, sound, message)
                assert key in message.partition(": ")[0]


def test_a_card_that_became_wrong_fails_verify(tmp_path: Path) -> None:
    """What has no checksum any more is not what it should be: the others are verified, then it is named."""
    directory = ("--directory", tmp_path / "models")
    network = scaling(tmp_path / "net.onnx", (2, 1_000), (0.1, 0.2, 0.3, 0.4))
    for name in ("a", "mine"):
        run(
            "add",
            network,
            "--card",
            card(tmp_path / "card.toml", NETWORK, name=name, samples=1_000),
            *directory,
        )
    (tmp_path / "models/a/card.toml").write_text("kind = 3\n")
    code, output = run("verify", *directory)
    assert code != 0
    assert output.startswith(f"{tmp_path}/models/mine: as its card says\n")
    assert f"{tmp_path}/models/a/card.toml, name: is missing" in output


def test_a_bundled_network_is_installed_elsewhere(tmp_path: Path) -> None:
    """`pull NAME --from FILE` installs what `bundle` wrote, checks it, and replaces what is damaged."""
    here, there = (("--directory", tmp_path / name) for name in ("here", "there"))
    network = scaling(tmp_path / "net.onnx", (2, 1_000), (0.1, 0.2, 0.3, 0.4))
    run("add", network, "--card", card(tmp_path / "card.toml", NETWORK, name="mine", samples=1_000), *here)
    bundle = tmp_path / "mine.tar"
    assert run("bundle", "mine", "-o", bundle, *here)[0] == 0
    installed = (0, f"{tmp_path}/there/mine\n")
    assert installed == run("pull", "mine", "--from", bundle, *there)
    assert run("verify", "mine", *there)[0] == 0
    (tmp_path / "there/mine/net.onnx").write_bytes(b"damaged")
    code, output = run("pull", "mine", *there)
    assert code != 0
    assert "SHA-256" in output or "bytes instead of" in output
    assert "mine is a network of your own: name a bundle with it by --from" in output
    assert installed == run("pull", "mine", "--from", tmp_path / "here", *there)
    assert installed == run("pull", "mine", *there)
    for words, said in [
        (("pull", "other"), "There is no model 'other'"),
        (("pull", "other", "--from", bundle), "does not contain card.toml of other"),
        (("pull", "other", "--from", tmp_path / "none"), "neither a bundle nor a folder"),
        (("pull", "other", "--from", tmp_path / "here/mine"), "holds the model 'mine', not 'other'"),
    ]:
        code, output = run(*words, *there)
        assert code != 0
        assert said in output
    assert ["mine"] == [path.name for path in (tmp_path / "there").glob("[!.]*")]


@pytest.mark.parametrize(
    "words",
    [
        ("show", "a" * 300),
        ("show", "a\0b"),
        ("remove", "a" * 300),
        ("cost", "a" * 300),
        ("bundle", "mine", "-o", "{folder}/none/mine.tar"),
        ("add", "{folder}/.net.onnx", "--card", "{folder}/card.toml", "--replace"),
        ("add", "{folder}/card.toml", "--card", "{folder}/card.toml", "--replace"),
        (
            "add",
            "{folder}/net.onnx",
            "--card",
            "{folder}/card.toml",
            "--directory",
            "{folder}/net.onnx/inside",
        ),
        ("pull", "mine", "--from", "{folder}/models", "--directory", "{folder}/net.onnx/inside"),
        ("list", "--directory", "{folder}/card.toml/inside"),
        ("verify", "--directory", "{folder}/card.toml/inside"),
        ("where", "--directory", "{folder}/card.toml/inside"),
        (
            *("export", "demucs", "{folder}/net.onnx", "-o", "{folder}/card.toml/inside", "--licence", "MIT"),
            *("--source", "here"),
        ),
    ],
)
def test_what_the_disk_refuses_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Names that no file can have and folders that cannot be made end no command with a traceback."""
    network = scaling(tmp_path / "net.onnx", (2, 100), (0.1, 0.2, 0.3, 0.4))
    (tmp_path / ".net.onnx").symlink_to(network)
    text = card(tmp_path / "card.toml", NETWORK, name="mine", samples=100)
    installation.add(WeightStore(tmp_path / "models"), text, network)
    given = [word.format(folder=tmp_path) for word in words]
    where = [] if "--directory" in words or words[0] == "export" else ["--directory", tmp_path / "models"]
    result = CliRunner().invoke(main, ["models", *given, *map(str, where)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if words[0] not in {"list", "where"}:
        assert result.exit_code in {1, 5}
        assert result.output.startswith("Error: ")
        assert [] == [line for line in result.output.splitlines()[1:] if not line.startswith("Hint: ")]


def test_a_link_to_a_folder_is_replaced_and_removed(tmp_path: Path) -> None:
    """A model may stand elsewhere: `--replace` and `remove` take the link away, and leave what it names."""
    network = scaling(tmp_path / "net.onnx", (2, 100), (0.1, 0.2, 0.3, 0.4))
    text = card(tmp_path / "card.toml", NETWORK, name="mine", samples=100)
    store = WeightStore(tmp_path / "models")
    for command in (
        lambda: installation.remove(store, "mine"),
        lambda: installation.add(store, text, network, replace_it=True),
    ):
        elsewhere = installation.add(WeightStore(tmp_path / "elsewhere"), text, network, replace_it=True)
        store.directory.mkdir(exist_ok=True)
        (store.directory / "mine").symlink_to(tmp_path / "elsewhere/mine")
        command()
        assert not (store.directory / "mine").is_symlink()
        assert not list(store.directory.glob(".*-old"))
        assert WeightStore(tmp_path / "elsewhere").has(elsewhere)


@pytest.mark.parametrize(
    ("takes", "gives", "said"),
    [
        (None, [2, 100], "takes no shape"),
        ([], [], "takes no shape"),
        ([1, 2, 100], [1, 2, 100], "gives 2 x 100"),
    ],
)
def test_a_network_without_shapes_is_refused(
    tmp_path: Path, takes: list[int] | None, gives: list[int] | None, said: str
) -> None:
    """A graph whose tensors have any number of dimensions, or none, is not what a card describes."""
    inputs = [helper.make_tensor_value_info("mix", TensorProto.FLOAT, takes)]
    outputs = [helper.make_tensor_value_info("stems", TensorProto.FLOAT, gives)]
    with pytest.raises(WeightsCorrupt, match=said):
        installation.add(*installed(tmp_path, inputs, outputs, helper.make_node("Abs", ["mix"], ["stems"])))


@pytest.mark.parametrize("has_output", [True, False])
def test_a_network_without_input_or_output_is_refused(tmp_path: Path, *, has_output: bool) -> None:
    """A graph that takes nothing, or gives nothing, is an error of its file."""
    outputs = [helper.make_tensor_value_info("stems", TensorProto.FLOAT, [1])] if has_output else []
    node = helper.make_node("Constant", [], ["stems"], value_floats=[1.0])
    with pytest.raises(WeightsCorrupt):
        installation.add(*installed(tmp_path, [], outputs, node))


def installed(
    folder: Path, inputs: list[Any], outputs: list[Any], node: Any
) -> tuple[WeightStore, Path, Path]:
    """Return what `installation.add` takes of a graph of one node."""
    graph = helper.make_graph([node], "network", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    text = card(folder / "card.toml", NETWORK, name="mine", samples=100)
    return WeightStore(folder / "models"), text, folder / "net.onnx"


def test_a_bundle_may_have_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pull NAME --from URL` fetches a bundle; messages name the address without its password and query."""
    network = scaling(tmp_path / "net.onnx", (2, 100), (0.1, 0.2, 0.3, 0.4))
    here, there = (("--directory", tmp_path / name) for name in ("here", "there"))
    run("add", network, "--card", card(tmp_path / "card.toml", NETWORK, name="mine", samples=100), *here)
    archive = shutil.make_archive(str(tmp_path / "mine"), "tar", tmp_path / "here" / "mine")
    monkeypatch.setattr(bundled, "transfer", lambda _url, target, **_: shutil.copyfile(archive, target))
    url = "https://me:secret@bundles.test/mine.tar?key=secret"
    assert (0, f"{tmp_path}/there/mine\n") == run("pull", "mine", "--from", url, *there)
    code, output = run("pull", "other", "--from", url, *there)
    assert code == 1
    assert "https://bundles.test/mine.tar holds the model 'mine', not 'other'" in output


@pytest.mark.parametrize("name", ["2stems", "nobody", "../models", ""])
def test_only_what_was_added_is_removed(tmp_path: Path, name: str) -> None:
    """A built-in model, an unknown one and a path are refused."""
    (tmp_path / "models" / "2stems").mkdir(parents=True)
    assert run("remove", name, "--directory", tmp_path / "models")[0] != 0
    assert (tmp_path / "models" / "2stems").is_dir()


def test_a_built_in_name_is_not_taken(tmp_path: Path) -> None:
    """No card takes the place of a built-in model."""
    network = scaling(tmp_path / "net.onnx", (2, 1_000), (1.0,) * 4)
    text = card(tmp_path / "card.toml", NETWORK, name="2stems", samples=1_000)
    code, output = run("add", network, "--card", text, "--directory", tmp_path / "models")
    assert code != 0
    assert "built-in" in output


def test_a_card_is_a_file(tmp_path: Path) -> None:
    """A pipe is not waited for, a device without an end is not read, and neither counts as a model."""
    folder = tmp_path / "models/pipe"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "card.toml")
    for path in (folder / "card.toml", folder, Path("/dev/zero")):
        with pytest.raises(CardError, match="is no file"):
            read_card(path)
    assert "pipe" not in library.cards(WeightStore(tmp_path / "models"))
