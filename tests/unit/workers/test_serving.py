"""What a worker announces: the models that it has, or may fetch, and the modes that these answer."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stemline.models import installation, library
from stemline.models.weights import WeightStore
from stemline.runtime.errors import UnusableFolder
from stemline.runtime.settings import Settings
from stemline.separation.errors import WeightsCorrupt, WeightsMissing
from stemline.workers.model_queues import ModelQueues
from stemline.workers.serving import Serving, check_models
from tests.support.forks import in_a_fork
from tests.support.networks import HEAD, WAVEFORM, card, scaling


def serving(folder: Path, **settings: Any) -> Serving:
    return Serving(Settings(models_dir=str(folder), **settings).engine)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model directory with one network."""
    network = scaling(tmp_path / "own.onnx", [2, 8000], [0.1, 0.2, 0.3, 0.4])
    models = tmp_path / "models"
    installation.add(
        WeightStore(models), card(tmp_path / "own.toml", WAVEFORM, name="own", samples=8000), network
    )
    return models


def test_a_worker_without_models_serves_nothing(tmp_path: Path) -> None:
    """Without weights, and without leave to fetch them, there is nothing that it could do."""
    assert () == serving(tmp_path / "none").refresh()


def test_a_folder_of_models_that_cannot_be_read_is_noticed_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in its place, and a folder of somebody else, are named; one that is not there is no fault."""
    check_models(tmp_path)
    check_models(tmp_path / "none")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UnusableFolder, match=f"STEMLINE_MODELS_DIR: {file}: Not a directory"):
        check_models(file)

    def denied(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(UnusableFolder, match="Permission denied"):
        check_models(tmp_path)


def test_weights_that_cannot_be_read_are_named(folder: Path) -> None:
    """A job is put off with the name of the file, and not with an error of the system."""

    def denied(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    store = WeightStore(folder)
    with pytest.raises(WeightsMissing, match=r"cannot be read: .*/own/own\.onnx: Permission denied"):
        store.verified(library.published(library.card_named("own", store)), digest=denied)


def test_a_model_that_takes_more_memory_than_there_is_is_not_served(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs would be killed; the log says why once, and a model of which nothing is known is served."""
    store = WeightStore(folder)
    text = card(tmp_path / "large.toml", WAVEFORM, name="large", samples=8000, options="memory_mb = 5200")
    installation.add(store, text, tmp_path / "own.onnx")
    total = [5_000_000_000]
    monkeypatch.setattr("stemline.workers.serving.total_memory", lambda: total[0])
    worker = serving(folder)
    with capture_logs() as logs:
        assert ("own",) == worker.refresh()
        assert ("own",) == worker.refresh()
    said = [entry["reason"] for entry in logs if entry["event"] == "model.not_served"]
    assert ["memory_mb is 5200, and this worker has 5000 MB"] == said
    total[0] = 5_200_000_000
    assert {"large", "own"} == set(worker.refresh())


def test_why_a_model_is_not_served_is_logged_when_it_is_new(folder: Path, tmp_path: Path) -> None:
    """A worker looks every ten seconds: what is still wrong is no news, and what is repaired is served."""
    store = WeightStore(folder)
    for name in ("bad", "gone"):
        text = card(tmp_path / f"{name}.toml", WAVEFORM, name=name, samples=8000)
        installation.add(store, text, tmp_path / "own.onnx")
    both = f'name = "both"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}[[members]]\nmodel = "gone"\n'
    (tmp_path / "both.toml").write_text(both)
    installation.add(store, tmp_path / "both.toml", None)
    wrong = folder / "bad" / "card.toml"
    sound = wrong.read_text()
    wrong.write_text(sound.replace("[segment]", "[segment]\noverlop = 1"))
    (folder / "gone" / "own.onnx").unlink()
    worker = serving(folder)

    def said() -> dict[str, str]:
        with capture_logs() as logs:
            worker.refresh()
        return {entry["model"]: entry["reason"] for entry in logs if entry["event"] == "model.not_served"}

    first = said()
    assert {"bad", "gone"} == {*first}
    assert "segment.overlop: there is no such field" in first["bad"]
    assert [{}, {}] == [said(), said()]
    shutil.rmtree(folder / "gone")
    assert {"both"} == {*said()}
    wrong.write_text(sound)
    assert {} == said()
    assert {"own", "bad"} == {*worker.get()}


def test_weights_that_may_be_fetched_are_served(tmp_path: Path) -> None:
    """With leave to fetch, Spleeter's models and both modes are served before they are there."""
    served = serving(tmp_path, models_fetch=True).refresh()
    assert {"AudioAndBackground", "MusicMode", "2stems", "4stems", "5stems"} == set(served)


def test_modes_are_served_by_the_models_of_the_settings(folder: Path) -> None:
    """A network of one's own serves its name, and the modes that the settings give to it."""
    assert ("own",) == serving(folder).refresh()
    mode_models = {"AudioAndBackground": "own", "MusicMode": "gone"}
    assert ("AudioAndBackground", "own") == serving(folder, mode_models=mode_models).refresh()


def test_models_that_come_and_go_are_noticed(folder: Path) -> None:
    """What is added, damaged or removed while a worker runs changes what it serves, in its pool too."""
    looked = serving(folder)
    assert ("own",) == looked.refresh()
    ensemble = folder.parent / "both.toml"
    ensemble.write_text(
        f'name = "both"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}\n[[members]]\nmodel = "own"\n'
    )
    installation.add(WeightStore(folder), ensemble, None)
    in_a_fork(looked.refresh)
    assert ("both", "own") == looked.get()
    network = folder / "own" / "own.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    assert () == looked.refresh()
    installation.remove(WeightStore(folder), "own")
    assert () == looked.refresh()


def test_damage_that_keeps_time_and_size_is_noticed(folder: Path) -> None:
    """A file that a program copies over another with its time is compared with its checksum again."""
    looked = serving(folder)
    assert ("own",) == looked.refresh()
    network = folder / "own" / "own.onnx"
    about, content = network.stat(), network.read_bytes()
    network.write_bytes(content[:-1] + b"?")
    os.utime(network, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert () == looked.refresh()
    network.write_bytes(content)
    assert ("own",) == looked.refresh()


def test_damage_that_no_time_shows_is_noticed_once_a_load_has_failed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk damages is compared again, whichever process of the worker could not load it."""
    looked = serving(folder)
    assert ("own",) == looked.refresh()

    def damaged(*_: object) -> None:
        raise WeightsCorrupt

    monkeypatch.setattr("stemline.workers.serving.verify_file", damaged)
    assert ("own",) == looked.refresh()
    in_a_fork(looked.doubt)
    assert () == looked.refresh()


def test_models_that_are_not_announced_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with more models than it can announce says which are left out, once for each change."""
    looked = serving(tmp_path)
    models = [f"n{number:02}" for number in range(66)]
    monkeypatch.setattr(looked, "_served", lambda: [*models, "MusicMode"])
    with capture_logs() as logged:
        looked.refresh()
        looked.refresh()
        models.pop()
        looked.refresh()
    said = [entry["models"] for entry in logged if entry["event"] == "models.not_announced"]
    assert [["n63", "n64", "n65"], ["n63", "n64"]] == said


def test_a_worker_listens_where_jobs_of_its_models_are_announced() -> None:
    """The broker queues of what is served are consumed at its levels, and left when it is served no more."""
    queues = {"separate.2", "separate.1"}

    class Channel:
        @property
        def queues(self) -> list[Any]:
            return [SimpleNamespace(name=name) for name in queues]

    consumer = SimpleNamespace(
        call_soon=lambda call, *values: call(*values),
        task_consumer=Channel(),
        add_task_queue=lambda name, *_: queues.add(name),
        cancel_task_queue=queues.discard,
    )
    followed = ModelQueues(consumer, (2, 1))
    followed.follow(("own", "htdemucs-1.0"))
    names = {"own", "htdemucs-1.0"}
    levels = {"separate.2", "separate.1"}
    assert levels | {f"{level}.{name}" for level in levels for name in names} == queues
    followed.follow(("own",))
    assert levels | {"separate.2.own", "separate.1.own"} == queues
    consumer.task_consumer = None  # it connects again
    followed.follow(())
    assert levels < queues
