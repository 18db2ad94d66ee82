"""Confines a process to one file: Landlock closes all others, a filter of system calls what is no reading.

What reads a hostile file may be taken over by it. Confined, it still has that file, its open descriptors and
its own memory: no network, no other file, no program, no other process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# -- Landlock; the numbers are the same on all machines

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
#: How many rights on files each version of Landlock knows.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS: Final = 16
#: Versions from which ports of TCP, and from which abstract sockets and signals can be closed.
_NETWORK_VERSION, _SCOPE_VERSION = 4, 6
_BOTH: Final = 3

# -- the filter of system calls

#: The machines whose calls are known: their column in the tables, and what the kernel calls them.
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
#: What reading a file, memory, threads of this process and its end take.
_CALLS: Final = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "getcwd": (79, 17), "gettimeofday": (96, 169), "sigaltstack": (131, 132), "setrlimit": (160, 164),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123), "set_tid_address": (218, 96),
    "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "openat": (257, 56), "newfstatat": (262, 79), "set_robust_list": (273, 99), "getrandom": (318, 278),
    "statx": (332, 291), "rseq": (334, 293),
}  # fmt: skip
#: Those that are allowed with one value of their first argument alone.
_CLONE, _PRLIMIT64, _TGKILL = (56, 220), (302, 261), (234, 131)
#: What the C library asks of `clone` for a thread, and for nothing else.
_THREAD_FLAGS: Final = 0x3D0F00

# Instructions of the filter: code, jump if true, jump if false, operand.
_INSTRUCTION: Final = struct.Struct("HBBI")
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
#: As if the kernel did not have the call: libraries know other ways then.
_NONE: Final = 0x00050000 | errno.ENOSYS
_KILL: Final = 0x80000000


class _Program(ctypes.Structure):
    """A filter as the kernel takes it."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def missing() -> list[str]:
    """Return what this system lacks to confine a process; nothing where all of it works."""
    faults = []
    if _landlock_version() < 1:
        faults.append("Landlock")
    # A filter at no address: refused as such by a kernel that takes filters.
    ctypes.set_errno(0)
    _library().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0)
    if platform.machine() not in _MACHINES or ctypes.get_errno() != errno.EFAULT:
        faults.append("a filter of system calls")
    return faults


def confine(path: Path) -> None:
    """Leave this process, which has one thread, what it needs to read `path`; as far as the system can.

    It cannot be undone. Modules that are not imported yet cannot be imported any more.
    """
    _library().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _close_files(path)
    _close_calls()


def _close_files(path: Path) -> None:
    version = _landlock_version()
    if version < 1:
        return
    rights = (1 << _FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)) - 1
    network = _BOTH if version >= _NETWORK_VERSION else 0
    scope = _BOTH if version >= _SCOPE_VERSION else 0
    rules = struct.pack("QQQ", rights, network, scope)
    rules = rules[: 24 if scope else 16 if network else 8]
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    ruleset = _call(_CREATE_RULESET, rules, len(rules), 0)
    _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", _READ_FILE, file), 0)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    os.close(file)


def _close_calls() -> None:
    if platform.machine() not in _MACHINES:
        return
    code = b"".join(_filter(*_MACHINES[platform.machine()], os.getpid()))
    program = _Program(len(code) // _INSTRUCTION.size, code)
    _library().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


def _filter(column: int, machine: int, pid: int) -> Iterator[bytes]:
    """Yield the instructions of the filter for this process."""
    yield _INSTRUCTION.pack(_LOAD, 0, 0, _MACHINE_AT)
    yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 1, 0, machine)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, _KILL)
    yield _INSTRUCTION.pack(_LOAD, 0, 0, _NUMBER_AT)
    for numbers in _CALLS.values():
        yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, numbers[column])
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)
    # A thread, limits of this process (0), a signal to it: abort() sends one.
    for numbers, value in ((_CLONE, _THREAD_FLAGS), (_PRLIMIT64, 0), (_TGKILL, pid)):
        yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 4, numbers[column])
        yield _INSTRUCTION.pack(_LOAD, 0, 0, _ARGUMENTS_AT)
        yield _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, value)
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _NONE)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, _NONE)


def _landlock_version() -> int:
    """Return the version of Landlock; below 1 where the kernel has none."""
    return int(_library().syscall(_CREATE_RULESET, None, 0, _VERSION))


def _call(number: int, *arguments: int | bytes) -> int:
    """Make a system call.

    Raises:
        OSError: It failed.
    """
    result = int(_library().syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
