"""Images built with buildah on a base made from Debian's packages; needs root, and no Docker engine."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.paths import REPOSITORY

BASE = "localhost/stemline-python:bookworm"
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
_MB = 1e6


def run(*command: str) -> str:
    """Run a command in the repository and return its output; a failure shows what it wrote."""
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def size_mb(image: str) -> float:
    """Return the size of an image, MB."""
    (described,) = json.loads(run("buildah", "images", "--json", image))
    number, unit = str(described["size"]).split()
    return float(number) * {"KB": 1e-3, "MB": 1.0, "GB": 1e3}[unit]


def ensure_base(folder: Path) -> None:
    """Make the base image, Debian with Python, unless there is one."""
    if run("buildah", "images", "--filter", f"reference={BASE}", "--quiet").strip():
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "base.tar"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(archive))
    container = run("buildah", "from", "scratch").strip()
    run("buildah", "add", "--quiet", container, str(archive), "/")
    # Debian's pip refuses to install beside Debian's packages; in an image there is nobody to protect.
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    run("buildah", "config", "--env", path, "--env", "PIP_BREAK_SYSTEM_PACKAGES=1", container)
    run("buildah", "commit", "--quiet", "--rm", container, BASE)
    archive.unlink()


def build(target: str) -> str:
    """Build one target of the Dockerfile, with the layers of earlier builds, and return the image's name."""
    image = f"localhost/stemline-{target}:ci"
    command = ["buildah", "build", "--format", "docker", "--isolation", "chroot", "--layers", "--pull-never"]
    if Path(_CA_FILE).exists():  # a proxy's certificate may be among this machine's
        command += ["--volume", f"{_CA_FILE}:{_CA_FILE}:ro"]
    command += ["--build-arg", f"PYTHON={BASE}", "--file", "deploy/docker/Dockerfile"]
    run(*command, "--target", target, "--tag", image, ".")
    return image


@dataclass(frozen=True, slots=True)
class Image:
    """A mounted image: its root folder, and what it runs."""

    root: Path
    variables: dict[str, str]
    entrypoint: list[str]
    command: list[str]
    probe: list[str]
    """The command of its health check."""
    user: str


def mount(image: str) -> tuple[str, Image]:
    """Mount an image; return the container that holds it, for `buildah rm`, and the image."""
    config: dict[str, Any] = json.loads(run("buildah", "inspect", "--type", "image", image))
    docker = config["Docker"]["config"]
    container = run("buildah", "from", "--pull-never", image).strip()
    root = Path(run("buildah", "mount", container).strip())
    return container, Image(
        root,
        dict(each.split("=", 1) for each in docker["Env"]),
        list(docker["Entrypoint"]),
        list(docker["Cmd"]),
        list(docker["Healthcheck"]["Test"][1:]),
        docker["User"],
    )
