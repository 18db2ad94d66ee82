"""The NVIDIA driver's interface (libcuda): which card this process uses, or why it can use none.

The driver knows MIG slices, ``CUDA_VISIBLE_DEVICES`` and unified memory; the text of `nvidia-smi` does not.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stemline.separation.errors import DeviceError

#: Device memory that one segment in a batch needs while the widest layers run, bytes.
SEGMENT_BYTES = 500 << 20
#: Larger batches are not faster.
LARGEST_BATCH = 16
_LIBRARY = "libcuda.so.1"


@dataclass(frozen=True, slots=True)
class Card:
    """A card, or a slice of one, with its memory in bytes; a slice has a UUID of its own."""

    name: str
    free_bytes: int
    uuid: str = ""

    @property
    def batch(self) -> int:
        """Return the size of a batch that takes no more than half of the free memory, in segments."""
        return max(1, min(LARGEST_BATCH, self.free_bytes // (2 * SEGMENT_BYTES)))


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
        return Card(name.value.decode(errors="replace"), self._free_bytes(device), bytes(uuid).hex())

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
        """Ask in the device's primary context, which the CUDA runtime of the engine uses later as well."""
        context, previous = ctypes.c_void_p(), ctypes.c_void_p()
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        try:
            self._call("cuCtxPushCurrent_v2", context)
            try:
                self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
            finally:
                self._call("cuCtxPopCurrent_v2", ctypes.byref(previous))
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", device)
        return free.value

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DeviceError(f"CUDA cannot be used: {name} failed, {self._describe(code)}.")

    def _describe(self, code: int) -> str:
        text = ctypes.c_char_p()
        if self._library.cuGetErrorString(code, ctypes.byref(text)) or text.value is None:
            return f"error {code}"
        return f"error {code}, {text.value.decode(errors='replace')}"
