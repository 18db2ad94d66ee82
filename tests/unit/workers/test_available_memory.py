"""How much memory a process may still take, by what the system says."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemline.workers.available_memory import available_memory, total_memory

GIB = 2**30


class System:
    """Files of a system, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.groups, self.proc = folder / "cgroup", folder / "proc"

    def write(self, path: str, text: object) -> None:
        file = self.groups.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def machine(self, available: int) -> None:
        self.write("proc/meminfo", f"MemTotal: 99 kB\nMemAvailable:   {available // 1024} kB")

    def version_2(self, path: str, limit: object, usage: int, cached: int = 0) -> None:
        self.write("proc/self/cgroup", f"0::{path}")
        self.group_2(path, limit, usage, cached)

    def group_2(self, path: str, limit: object, usage: int, cached: int = 0) -> None:
        self.write(f"cgroup{path}/memory.max", limit)
        self.write(f"cgroup{path}/memory.current", usage)
        self.write(f"cgroup{path}/memory.stat", f"anon 1\ninactive_file {cached}\nactive_file 7")

    def version_1(self, path: str, limit: int, usage: int, cached: int = 0) -> None:
        self.write("proc/self/cgroup", f"5:cpu,cpuacct:/other\n4:memory:{path}\n1:name=systemd:/")
        self.write(f"cgroup/memory{path}/memory.limit_in_bytes", limit)
        self.write(f"cgroup/memory{path}/memory.usage_in_bytes", usage)
        self.write(f"cgroup/memory{path}/memory.stat", f"inactive_file 3\ntotal_inactive_file {cached}")

    def available(self) -> int | None:
        return available_memory(self.groups, self.proc)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_a_system_that_does_not_tell(system: System) -> None:
    """Without /proc, as on macOS, nothing is known."""
    assert system.available() is None


def test_a_machine_without_limits(system: System) -> None:
    """Without a limit of a group all of the machine's available memory counts."""
    system.machine(3 * GIB)
    assert system.available() == 3 * GIB
    system.version_2("/", "max", 2 * GIB)
    assert system.available() == 3 * GIB


@pytest.mark.parametrize("path", ["/", "/stemline", "/kubepods/pod1/worker"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_group_that_has_less(system: System, version: int, path: str) -> None:
    """What the group has left counts, with the file cache that it gives back."""
    system.machine(30 * GIB)
    path = "" if path == "/" else path
    write = system.version_1 if version == 1 else system.version_2
    write(path or "/", 4 * GIB, 3 * GIB, GIB // 2)
    assert system.available() == 3 * GIB // 2


def test_a_machine_that_has_less_than_the_group(system: System) -> None:
    """What the machine has left counts where it is less than what the group has left."""
    system.machine(GIB)
    system.version_2("/stemline", 4 * GIB, GIB)
    assert system.available() == GIB


def test_a_group_around_it_that_has_less(system: System) -> None:
    """A pod's limit holds for its containers too."""
    system.machine(30 * GIB)
    system.version_2("/pod/worker", "max", GIB)
    system.group_2("/pod", 4 * GIB, 3 * GIB)
    assert system.available() == GIB


def test_a_path_outside_of_the_container(system: System) -> None:
    """A container may see its own group at the root, under a path of the machine's."""
    system.machine(30 * GIB)
    system.write("proc/self/cgroup", "0::/system.slice/container-1")
    system.group_2("", 4 * GIB, GIB)
    assert system.available() == 3 * GIB


def test_a_group_beyond_its_limit(system: System) -> None:
    """A group that uses more than its limit has nothing left, not less than nothing."""
    system.machine(30 * GIB)
    system.version_2("/stemline", GIB, 2 * GIB)
    assert system.available() == 0


@pytest.mark.parametrize("version", [1, 2])
def test_the_memory_of_a_machine_or_of_its_container(system: System, version: int) -> None:
    """The least of the machine's and of the limits of the group and those around it, whatever is in use."""
    assert total_memory(system.groups, system.proc) is None
    system.write("proc/meminfo", f"MemTotal: {8 * GIB // 1024} kB\nMemAvailable: 5 kB")
    assert total_memory(system.groups, system.proc) == 8 * GIB
    (system.version_1 if version == 1 else system.version_2)("/pod/worker", 4 * GIB, GIB)
    assert total_memory(system.groups, system.proc) == 4 * GIB
