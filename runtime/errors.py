"""Why a process cannot do what its settings ask for; the command line shows the message alone.

::

    StartRefused
    ├── AddressUnusable
    ├── BucketsUnusable               in storage/access_check.py
    ├── DeviceUnusable                in workers/device_faults.py
    ├── EndpointRefused
    ├── PackagesMissing
    ├── TelemetryMissing
    ├── UnreadableFile
    ├── UnusableFolder
    └── UntestedVersion
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class StartRefused(ValueError):
    """The process cannot do what its settings ask for."""


class AddressUnusable(StartRefused):
    """The process cannot listen on an address, which another one may use."""

    def __init__(self, chosen_by: str, host: str, port: int, reason: str) -> None:
        said = f"{chosen_by}: the process cannot listen on {host}:{port}: {reason}"
        super().__init__(f"{said}; choose another address, or end what uses this one")


class EndpointRefused(StartRefused):
    """An endpoint of message queues must not be used."""

    def __init__(self, region: str, reason: str) -> None:
        super().__init__(f"STEMLINE_TDMQ_ENDPOINTS at {region}: {reason}.")
        self.region = region


class PackagesMissing(StartRefused):
    """Packages of an extra are not installed."""

    def __init__(self, modules: Sequence[str], how_to_install: str) -> None:
        names = ", ".join(modules)
        super().__init__(f"packages are missing that this command needs ({names}): {how_to_install}")


class TelemetryMissing(StartRefused):
    """STEMLINE_OTLP_ENDPOINT is set, but the packages that send traces are missing: add the extra otel."""

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


class UnreadableFile(StartRefused):
    """A file that the settings name cannot be read, or holds something else than it should."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class UnusableFolder(StartRefused):
    """A folder that the settings name does not exist, or nothing can be written there."""

    def __init__(self, variable: str, path: Path, reason: str) -> None:
        super().__init__(f"{variable}: {path}: {reason}")


class UntestedVersion(StartRefused):
    """A package is installed in a version that Stemline's patches were not tested with."""
