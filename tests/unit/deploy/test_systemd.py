"""The systemd units, checked by systemd's own tools."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stemline.runtime.settings import Settings
from tests.conftest import REPOSITORY, missing

FOLDER = REPOSITORY / "deploy" / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))


@pytest.fixture(scope="module")
def units(tmp_path_factory) -> Path:
    """The units with the program of this environment."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze (Debian package systemd)")
    folder = tmp_path_factory.mktemp("units")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    here = str(Path(sys.executable).with_name("stemline"))
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/stemline/bin/stemline", here))
    return folder


def service(name: str) -> dict[str, list[str]]:
    """The [Service] section; every value is a list."""
    found: dict[str, list[str]] = {}
    section = (FOLDER / name).read_text().partition("[Service]\n")[2].partition("\n[")[0]
    for line in section.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_systemd_understands_every_unit(units: Path):
    """There is no unknown option, no missing unit and no missing command, also in the drop-in for GPUs."""
    names = [name.replace("@.", "@gpu.") for name in SERVICES]
    command = ["systemd-analyze", "verify", "stemline.target", "stemline-worker@1.service", *names]
    done = subprocess.run(command, cwd=units, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_exposes_little(units: Path, name: str):
    """The exposure that systemd calculates for a service is in its best range."""
    path = units / name.replace("@.", "-one.")
    if not path.exists():
        path.write_text((units / name).read_text())
    command = ["systemd-analyze", "security", "--offline=true", f"./{path.name}"]
    done = subprocess.run(command, cwd=units, capture_output=True, text=True, check=True)
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(level) < 2.0


def test_a_worker_has_time_to_release_its_job():
    """Only the main process gets SIGTERM, and it is killed long after its grace period."""
    unit = service("stemline-worker@.service")
    assert ["mixed"] == unit["KillMode"]
    assert int(unit["TimeoutStopSec"][0]) >= Settings().workers.grace_s + 60


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_always_restarted(name: str):
    """A service that ends is restarted, any number of times."""
    assert ["always"] == service(name)["Restart"]
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / name)
    assert "0" == parser["Unit"]["StartLimitIntervalSec"]


def test_the_example_environment_is_valid(monkeypatch):
    """The variables of the example are settings with valid values, once its secrets are replaced."""
    text = (FOLDER / "stemline.env.example").read_text()
    for line in text.replace("change-me", "hush-hush").splitlines():
        if line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    settings = Settings()
    assert "https://s3.example.com" == settings.storage.buckets["*"].endpoint_url
    for name in SERVICES:
        assignments = " ".join(service(name).get("Environment", [])).split()
        for assignment in assignments:
            variable = assignment.partition("=")[0]
            assert variable.removeprefix("STEMLINE_").lower() in Settings().by_variable()


def test_metrics_of_each_process_have_a_port_that_is_scraped():
    """API, callback worker and documented workers have ports of their own, which are targets."""
    text = (REPOSITORY / "docs" / "deployment.md").read_text()
    drop_in = (FOLDER / "stemline-worker@gpu.service.d" / "gpu.conf").read_text()
    found = {
        "api": service("stemline-api.service")["Environment"],
        "callbacks": service("stemline-callbacks.service")["Environment"],
        "gpu": drop_in.splitlines(),
        "worker-1": re.findall(r"echo '(.*)' > /etc/stemline/worker-1\.env", text),
    }
    ports = {name: re.findall(r"STEMLINE_METRICS_PORT=(\d+)", "\n".join(of)) for name, of in found.items()}
    assert [1] * 4 == [len(each) for each in ports.values()], ports
    assert 4 == len({port for (port,) in ports.values()})
    file = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "systemd.yml").read_text())
    jobs = {
        job["job_name"].removeprefix("stemline-"): job["static_configs"] for job in file["scrape_configs"]
    }
    for job, name in {"api": "api", "callbacks": "callbacks", "worker": "worker-1"}.items():
        (targets,) = jobs[job]
        assert [f"127.0.0.1:{ports[name][0]}"] == targets["targets"]
        assert targets["labels"]["installation"]
    # A port for all would be that of several processes.
    assert "METRICS_PORT=" not in (FOLDER / "stemline.env.example").read_text()
    lines = service("stemline-worker@.service")["Environment"]
    assert lines
    assert not any("METRICS_PORT" in line for line in lines)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_file_of_its_own(name: str):
    """Settings of one service can be set apart, without effect on another: its own file comes last."""
    own = name.removeprefix("stemline-").removesuffix(".service").replace("@", "-%i")
    files = [file.removeprefix("-") for file in service(name)["EnvironmentFile"]]
    assert "/etc/stemline/stemline.env" == files[0]
    assert own == "beat" or f"/etc/stemline/{own}.env" == files[-1]
    # A file replaces what the unit itself sets: that of another service would bring its port of metrics.
    common = {"/etc/stemline/stemline.env", "/etc/stemline/credentials.env"}
    assert set(files) - common <= {f"/etc/stemline/{own}.env"}


def test_the_documented_pull_has_a_folder_to_write_to():
    """The commands of docs/deployment.md create the cache folder for the user before it pulls the weights."""
    lines = (REPOSITORY / "docs" / "deployment.md").read_text().splitlines()
    pull = next(
        number for number, line in enumerate(lines) if "stemline models pull" in line and "sudo" in line
    )
    folder = next(word for word in lines[pull].split() if word.startswith("STEMLINE_MODELS_DIR=")).split("=")[
        1
    ]
    created = [line for line in lines[:pull] if line.startswith("install -d -o stemline")]
    assert any(str(Path(folder).parent) in line.split() for line in created)
