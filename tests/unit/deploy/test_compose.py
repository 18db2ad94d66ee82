"""The compose file, its variables and the Dockerfiles, checked without a Docker engine."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pathspec
import pytest

from stemline.runtime.settings import Settings
from tests.conftest import REPOSITORY, missing
from tests.support import compose, dockerfile, snippets

DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
#: Services with a card of their own.
GPU = ("worker-gpu", "worker-gpu-1", "worker-gpu-2", "worker-gpu-3")
#: Services that are Stemline's own.
OWN = ("api", "worker", *GPU, "callbacks", "beat", "flower")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return compose.load(DEPLOY / "compose.yaml", compose.example())


def real_compose(
    *words: str, variables: dict[str, str] | None = None, folder: Path = DEPLOY
) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose itself on the file; it needs no Docker engine to read it."""
    # Not the package's script of that name, which ends with 0 whatever happened.
    (package,) = importlib.util.find_spec("compose").submodule_search_locations
    program = Path(package) / "docker-compose"
    values = compose.example() if variables is None else variables
    command = [str(program), "--file", str(folder / "compose.yaml"), *words]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **values}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("profiles", ["", "s3", "s3,watch", "gpu", "gpu2", "gpu4,s3,watch"])
def test_compose_reads_the_file(project, profiles: str):
    """Docker Compose accepts the file with every profile: services and variables are those tests assume."""
    values = {**compose.example(), "COMPOSE_PROFILES": profiles}
    done = real_compose("config", "--format", "json", variables=values)
    assert 0 == done.returncode, done.stderr
    services = json.loads(done.stdout)["services"]
    chosen = set(profiles.split(",")) - {""}
    wanted = {
        n for n, d in project["services"].items() if not d.get("profiles") or chosen & set(d["profiles"])
    }
    assert wanted == set(services)
    for name in wanted & set(OWN):
        ours = {key: str(value) for key, value in project["services"][name]["environment"].items()}
        assert ours == services[name]["environment"], name


def test_settings_of_your_own_replace_those_of_compose(project, tmp_path: Path):
    """What stemline.env sets counts in every service, also where Compose sets the same by itself."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copy(DEPLOY / "compose.yaml", folder)
    shutil.copytree(DEPLOY / "compose", folder / "compose")
    set_by_compose = {name: set(project["services"][name]["environment"]) for name in OWN}
    # What a service is: the device of a worker.
    fixed = {"STEMLINE_DEVICE", "FLOWER_BASIC_AUTH"}
    ours = set().union(*set_by_compose.values()) - fixed
    assert {"STEMLINE_REDIS_URL", "STEMLINE_DURABILITY", "STEMLINE_BUCKETS", "STEMLINE_METRICS_PORT"} <= ours
    (printed,) = snippets.run_by("test_compose::test_settings_of_your_own_replace_those_of_compose")
    file = folder / "stemline.env"
    file.write_text(printed)
    documented = compose.dotenv(file)
    assert documented["STEMLINE_REDIS_URL"].startswith("rediss://")
    own = {name: f"own-{name}" for name in ours} | {"STEMLINE_RETENTION_DAYS": "30"} | documented
    file.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    done = real_compose("--profile", "gpu4", "config", "--format", "json", folder=folder)
    assert 0 == done.returncode, done.stderr
    services = json.loads(done.stdout)["services"]
    for name in OWN:
        assert own.items() <= services[name]["environment"].items(), name
        assert services[name]["environment"].keys() - own.keys() <= fixed, name


def test_a_secret_may_be_given_to_one_service(tmp_path: Path):
    """A file of a service is read by that one alone, and replaces stemline.env.

    Compose takes `$b` for a variable; in single quotes, as the page says, a secret arrives whole.
    """
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copy(DEPLOY / "compose.yaml", folder)
    shutil.copytree(DEPLOY / "compose", folder / "compose")
    (printed,) = snippets.run_by("test_compose::test_a_secret_may_be_given_to_one_service")
    name, _, quoted = printed.strip().partition("=")
    assert "$" in quoted
    (folder / "stemline.env").write_text("STEMLINE_RETENTION_DAYS=30\n")
    (folder / "stemline-callbacks.env").write_text(printed)
    for service in ("api", "worker"):
        (folder / f"stemline-{service}.env").write_text(f"STEMLINE_RETENTION_DAYS={service}\n")
    done = real_compose("--profile", "gpu", "config", "--format", "json", folder=folder)
    assert 0 == done.returncode, done.stderr
    found = {
        name: each["environment"] for name, each in json.loads(done.stdout)["services"].items() if name in OWN
    }
    secret = quoted.strip("'").replace("$", "$$")  # `config` doubles it
    assert {"callbacks": secret} == {of: each[name] for of, each in found.items() if name in each}
    days = {of: each["STEMLINE_RETENTION_DAYS"] for of, each in found.items()}
    common = dict.fromkeys(("callbacks", "beat", "flower"), "30")
    assert {"api": "api", "worker": "worker", "worker-gpu": "worker"} | common == days


def test_a_valkey_of_your_own_needs_none_here(project):
    """With VALKEY_REPLICAS=0 none is started; else Valkey starts with a password only."""
    values = compose.example() | {"VALKEY_REPLICAS": "0", "VALKEY_PASSWORD": ""}
    done = real_compose("config", "--format", "json", variables=values)
    assert 0 == done.returncode, done.stderr
    assert 0 == json.loads(done.stdout)["services"]["valkey"]["deploy"]["replicas"]
    shell, option, script, *words = project["services"]["valkey"]["entrypoint"]
    assert ["sh", "-c"] == [shell, option]
    command = ["sh", "-c", script.replace("docker-entrypoint.sh", "echo", 1), *words, "valkey-server", "FILE"]
    for password, status, said in (("", 1, ""), ("change-me", 1, ""), ("secret", 0, "valkey-server FILE\n")):
        environment = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": password}
        started = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert (status, said) == (started.returncode, started.stdout)


def test_workers_use_the_weights_of_their_image(project):
    """No volume covers /models: a named one would keep the weights of the first image."""
    for name in ("worker", *GPU):
        mounts = [volume.rpartition(":")[2] for volume in project["services"][name]["volumes"]]
        assert ["/scratch"] == mounts
    stage = dockerfile.stages(DOCKERFILE)["worker"]
    assert "/models" == stage.env["STEMLINE_MODELS_DIR"]


def test_compose_names_the_variable_that_is_missing():
    """Without an .env file Docker Compose refuses to start, and says what to fill in."""
    done = real_compose("config", "--quiet", variables={})
    assert 0 != done.returncode
    assert "is not set, see .env.example" in done.stderr


def test_hadolint_finds_nothing():
    """The Dockerfile follows the rules of hadolint."""
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        missing("hadolint")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("target", ["api", "worker", "callbacks", "flower", "worker-gpu"])
def test_an_image_is_unprivileged_and_has_a_health_check(target: str):
    """Every image has a versioned base, an unprivileged user, a command and a health check."""
    stage = dockerfile.stages(DOCKERFILE)[target]
    _, _, version = stage.base.partition(":")
    assert version[0].isdigit()
    assert "10001:10001" == stage.user
    assert ["stemline"] == stage.entrypoint
    assert stage.command
    assert ["stemline", "health"] == stage.probe[:2]


def test_packages_come_with_hashes():
    """No image installs a package that constraints/ does not name by hash."""
    runs = [run for stage in dockerfile.stages(DOCKERFILE).values() for run in stage.runs]
    installs = [
        part for run in runs for part in run.split("&&") if "pip install" in part or "uv build" in part
    ]
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "-c constraints/" in install or "--no-deps /wheel/" in install


def test_the_build_context_holds_only_what_is_needed():
    """The build context is an allow list, so that data, secrets and tests stay outside."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert "*" == rules[0]
    allowed = {line.lstrip("!").rstrip("/") for line in rules if line.startswith("!")}
    copied = {
        line.split()[1].rstrip("/").split("/")[0]
        for line in DOCKERFILE.read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
    }
    assert copied - {"README.md"} <= allowed
    assert not allowed & {".git", ".stemline", "tests", "benchmarks"}
    ignored = pathspec.PathSpec.from_lines("gitignore", lines)
    for name in (".env", "stemline.env", "stemline-api.env", "tenants/", "weights/"):
        assert ignored.match_file(f"deploy/{name}"), name
    for name in ("__init__.py", "local/", "local/stack.py", "demo/", "demo/receiver.py", "docker/slim.sh"):
        assert not ignored.match_file(f"deploy/{name}"), name


@pytest.mark.parametrize("service", OWN)
def test_a_service_starts_from_valid_settings(project, service: str, monkeypatch):
    """The variables of every service are settings that exist, with valid values."""
    environment = project["services"][service]["environment"]
    ours = {name: value for name, value in environment.items() if name.startswith("STEMLINE_")}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    known = {f"STEMLINE_{name.upper()}" for name in Settings().by_variable()}
    assert set(ours) <= known
    assert "redis://:hush-hush@valkey:6379/0" == Settings().store.url.get_secret_value()


@pytest.mark.parametrize("service", OWN)
def test_a_service_has_a_read_only_root_and_no_privileges(project, service: str):
    """Read-only root, no capabilities, no new privileges, and /tmp in memory."""
    definition = project["services"][service]
    assert definition["read_only"]
    assert ["/tmp"] == definition["tmpfs"]
    assert ["ALL"] == definition["cap_drop"]
    assert ["no-new-privileges:true"] == definition["security_opt"]


def test_every_third_party_image_is_pinned_and_has_a_health_check(project):
    """Images of others have a fixed version and a health check."""
    others = {name: each for name, each in project["services"].items() if name not in OWN}
    assert others
    for name, definition in others.items():
        _, _, version = definition["image"].rpartition(":")
        assert version.lstrip("v")[0].isdigit(), name
        assert definition["healthcheck"]["test"], name


def test_no_answered_job_is_lost_by_default(project):
    """Valkey writes its file, and syncs it before each answer, unless the operator says otherwise."""
    lines = project["configs"]["valkey"]["content"].splitlines()
    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(lines)


def test_ports_are_published_on_loopback_only(project):
    """Published ports are bound to loopback by default; the store publishes none."""
    for name, definition in project["services"].items():
        for port in definition.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    assert "ports" not in project["services"]["valkey"]


@pytest.mark.parametrize("service", ["worker", *GPU])
def test_a_worker_can_be_scaled_and_has_time_to_release_its_job(project, service: str):
    """No fixed name or port prevents --scale, and the stop timeout is longer than the grace of a job."""
    definition = project["services"][service]
    assert not {"container_name", "hostname", "ports"} & set(definition)
    assert int(definition["stop_grace_period"].rstrip("s")) >= Settings().workers.grace_s + 60


def test_each_card_has_a_service_of_its_own(project):
    """Each GPU service reserves another device, so that two workers never share one by mistake."""
    devices = []
    for service in GPU:
        (device,) = project["services"][service]["deploy"]["resources"]["reservations"]["devices"]
        assert ("nvidia", ["gpu"]) == (device["driver"], device["capabilities"])
        devices += device["device_ids"]
    assert ["0", "1", "2", "3"] == devices


def test_valkey_is_durable(project):
    """The append-only file is on, no key is evicted, and a password is required."""
    lines = dict(line.split(" ", 1) for line in project["configs"]["valkey"]["content"].splitlines())
    wanted = {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "requirepass": "hush-hush",
        "dir": "/data",
    }
    assert wanted == {name: lines[name] for name in wanted}


def test_seaweedfs_has_the_keys_of_the_workers(project):
    """The bundled store's key pair is that of STEMLINE_BUCKETS."""
    (identity,) = json.loads(project["configs"]["s3"]["content"])["identities"]
    (pair,) = identity["credentials"]
    access = json.loads(project["services"]["worker"]["environment"]["STEMLINE_BUCKETS"])["*"]
    assert (pair["accessKey"], pair["secretKey"]) == (access["access_key"], access["secret_key"])


def test_a_variable_without_a_value_stops_the_start():
    """Secrets have no default: without an .env file nothing starts."""
    with pytest.raises(KeyError, match=r"see \.env\.example"):
        compose.load(DEPLOY / "compose.yaml", {})


def test_the_gpu_image_holds_the_tested_versions():
    """Both lists of constraints have the same versions: a GPU worker differs only in its engine."""

    def pins(name: str) -> dict[str, str]:
        text = (REPOSITORY / "constraints" / name).read_text()
        return dict(re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", text, re.MULTILINE))

    tested, gpu = pins("python.txt"), pins("gpu.txt")
    own = {name for name in set(gpu) - set(tested) if not name.startswith("nvidia-")}
    assert {"onnxruntime-gpu"} == own, "run make lock"
    assert {name: tested[name] for name in gpu if name in tested} == {
        n: v for n, v in gpu.items() if n in tested
    }
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*extras["dependencies"], *extras["optional-dependencies"]["gpu"]]
    assert {re.split(r"[<>=!\[]", each)[0] for each in wanted} <= set(gpu)


def test_an_s3_of_your_own_needs_no_keys(monkeypatch):
    """Without the bundled store the key pair may be left out, and names of objects are judged as S3 does."""
    values = compose.example() | {
        "COMPOSE_PROFILES": "",
        "S3_ACCESS_KEY": "",
        "S3_SECRET_KEY": "",
        "S3_ENDPOINT_URL": "https://s3.eu-central-1.amazonaws.com",
        "S3_KEEPS_FILES": "false",
    }
    done = real_compose("config", "--format", "json", variables=values)
    assert 0 == done.returncode, done.stderr
    services = json.loads(done.stdout)["services"]
    assert "seaweedfs" not in services
    for name in ("api", "worker", "callbacks"):
        monkeypatch.setenv("STEMLINE_BUCKETS", services[name]["environment"]["STEMLINE_BUCKETS"])
        access = Settings().storage.buckets["*"]
        assert ("", "") == (access.access_key, access.secret_key.get_secret_value())
        assert not access.keeps_files
        assert "https://s3.eu-central-1.amazonaws.com" == str(access.endpoint_url)


@pytest.mark.parametrize(
    ("access", "secret", "ends"),
    [("", "", 1), ("key", "", 1), ("", "secret", 1), ("key", "change-me", 1), ("key", "secret", 0)],
)
def test_seaweedfs_starts_with_keys_only(project, access: str, secret: str, ends: int):
    """The bundled store, which lets everybody in where it has no keys, refuses to start without them."""
    shell, option, script, *words = project["services"]["seaweedfs"]["entrypoint"]
    assert ["sh", "-c"] == [shell, option]
    assert "exec /entrypoint.sh" in script
    command = ["sh", "-c", script.replace("/entrypoint.sh", "echo", 1), *words, "mini", "-dir=/data"]
    environment = {"PATH": "/usr/bin:/bin", "S3_ACCESS_KEY": access, "S3_SECRET_KEY": secret}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ends == done.returncode
    if ends:
        assert "S3_ACCESS_KEY or S3_SECRET_KEY is not set, see .env.example\n" == done.stderr
    else:
        assert "mini -dir=/data\n" == done.stdout


@pytest.mark.parametrize(("password", "ends"), [("change-me", 1), ("secret", 0)])
def test_grafana_starts_with_a_password_of_your_own(project, password: str, ends: int):
    """The administrator's password of the example is refused; Compose itself refuses none at all."""
    shell, option, script, *words = project["services"]["grafana"]["entrypoint"]
    assert ["sh", "-c"] == [shell, option]
    command = ["sh", "-c", script.replace("/run.sh", "echo started", 1), *words]
    environment = {"PATH": "/usr/bin:/bin", "GF_SECURITY_ADMIN_PASSWORD": password}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    said = "GRAFANA_PASSWORD is not set, see .env.example\n" if ends else ""
    assert (ends, said) == (done.returncode, done.stderr)


def test_every_secret_of_the_example_stops_what_uses_it(monkeypatch):
    """Copied without change, the example starts none of Stemline's services that has a secret."""
    example = compose.dotenv(DEPLOY / ".env.example")
    secrets = {name for name, value in example.items() if value.endswith("change-me")}
    assert {"SECRET_KEY", "S3_SECRET_KEY", "VALKEY_PASSWORD", "FLOWER_BASIC_AUTH"} < secrets
    services = compose.load(DEPLOY / "compose.yaml", example)["services"]
    for name in ("STEMLINE_REDIS_URL", "STEMLINE_CREDENTIALS", "STEMLINE_BUCKETS"):
        with monkeypatch.context() as patched:
            patched.setenv(name, services["api"]["environment"][name])
            with pytest.raises(ValueError, match=f"{name}: a secret is still change-me"):
                Settings()
