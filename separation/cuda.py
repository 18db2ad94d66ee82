"""The NVIDIA driver's interface (libcuda): which card this process uses, or why it can use none.

The driver knows MIG slices, ``CUDA_VISIBLE_DEVICES`` and unified memory; the text of `nvidia-smi` does not.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import DeviceError
from stemline.separation.logs import get_logger

log = get_logger(__name__)

#: Device memory that one segment in a batch needs while the widest layers run, bytes.
SEGMENT_BYTES = 500 << 20
#: Larger batches are not faster.
LARGEST_BATCH = 16
_LIBRARY = "libcuda.so.1"
#: CU_CTX_SCHED_BLOCKING_SYNC and CU_MEMHOSTREGISTER_PORTABLE of cuda.h.
_BLOCKING_SYNC = 4
_PORTABLE = 1


@dataclass(frozen=True, slots=True)
class Card:
    """A card, or a slice of one, with its memory in bytes; a slice has a UUID of its own."""

    name: str
    free_bytes: int
    uuid: str = ""

    def batch(self, segment_bytes: int = SEGMENT_BYTES, *, at_once: int = 1) -> int:
        """Return the size of a batch, in segments, that takes no more than half of the free memory.

        Args:
            segment_bytes: What one segment needs.
            at_once: Batches that run at the same time, and share that half.
        """
        return max(1, min(LARGEST_BATCH, self.free_bytes // (2 * at_once * segment_bytes)))


def first_card(cuda_version: str = "", *, load: Callable[[str], Any] | None = None) -> Card:
    """Return the first card that this process may use.

    Args:
        cuda_version: What the caller was built with, such as `13.0`; the driver must support it.
        load: Loads the driver's library; by default the system does.

    Raises:
        DeviceError: There is no driver, it is too old, or it reports no card; with the reason.
    """
    try:
        driver = _Driver((load or ctypes.CDLL)(_LIBRARY))
    except OSError as error:
        raise DeviceError(
            f"CUDA cannot be used: the NVIDIA driver is not installed here ({error})."
        ) from error
    return driver.first_card(cuda_version)


def page_locked(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an array of zeros that the card copies from and to without the help of a processor.

    Where the driver cannot lock its pages, it is an ordinary one, which is copied more slowly.
    """
    array = np.zeros(shape, np.float32)
    try:
        driver = _Driver(ctypes.CDLL(_LIBRARY))
        driver.lock_pages(array.ctypes.data, array.nbytes)
    except (OSError, DeviceError) as error:
        log.warning("cuda.memory_not_locked", reason=str(error))
    else:
        weakref.finalize(array, driver.unlock_pages, array.ctypes.data)
    return array


class _Driver:
    """Calls of the driver; every one returns a code, 0 for success."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def first_card(self, cuda_version: str) -> Card:
        self._call("cuInit", 0)
        self._check_version(cuda_version)
        count, device = ctypes.c_int(), ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if not count.value:
            raise DeviceError(
                "CUDA cannot be used: the driver shows this process no card; see CUDA_VISIBLE_DEVICES."
            )
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), device)
        uuid = (ctypes.c_ubyte * 16)()
        self._call("cuDeviceGetUuid_v2", ctypes.byref(uuid), device)
        # Else a thread that waits for the card keeps a processor busy. Where it cannot be set, it does.
        self._library.cuDevicePrimaryCtxSetFlags_v2(device, _BLOCKING_SYNC)
        return Card(name.value.decode(errors="replace"), self._free_bytes(device), bytes(uuid).hex())

    def lock_pages(self, address: int, size: int) -> None:
        """Keep host memory where it is, so that the card can reach it."""
        with self._context(ctypes.c_int(0)):
            self._call("cuMemHostRegister_v2", ctypes.c_void_p(address), ctypes.c_size_t(size), _PORTABLE)

    def unlock_pages(self, address: int) -> None:
        """End that."""
        with suppress(DeviceError), self._context(ctypes.c_int(0)):
            self._call("cuMemHostUnregister", ctypes.c_void_p(address))

    def _check_version(self, cuda_version: str) -> None:
        newest = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(newest))
        major, minor = divmod(newest.value, 1000)
        needed = cuda_version.partition(".")[0]
        if needed.isdecimal() and int(needed) > major:
            raise DeviceError(
                f"CUDA cannot be used: the driver supports CUDA {major}.{minor // 10}, "
                f"and ONNX Runtime was built with CUDA {cuda_version}; install a newer driver."
            )

    def _free_bytes(self, device: ctypes.c_int) -> int:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self._context(device):
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    @contextmanager
    def _context(self, device: ctypes.c_int) -> Iterator[None]:
        """Enter the device's primary context, which the CUDA runtime of the engine uses later as well."""
        context, previous = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        try:
            self._call("cuCtxPushCurrent_v2", context)
            try:
                yield
            finally:
                self._call("cuCtxPopCurrent_v2", ctypes.byref(previous))
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", device)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DeviceError(f"CUDA cannot be used: {name} failed, {self._describe(code)}.")

    def _describe(self, code: int) -> str:
        text = ctypes.c_char_p()
        if self._library.cuGetErrorString(code, ctypes.byref(text)) or text.value is None:
            return f"error {code}"
        return f"error {code}, {text.value.decode(errors='replace')}"
