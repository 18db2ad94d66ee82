"""Spleeter's networks, run by the compiled library; `unet.c` says how."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import WeightsCorrupt
from stemline.separation.network import CHANNELS, MASK_EPSILON, NETWORK_BINS

Array = NDArray[np.float32]

_LAYERS: Final = 6
#: Channels of the first layer's result; those of each further one are twice as many.
_FILTERS: Final = 16
_TAPS: Final = (5, 5)
_LAST_TAPS: Final = (4, 4)
#: Frames are halved by each layer.
_FRAMES_STEP: Final = 1 << _LAYERS


class Layer(NamedTuple):
    """The weights of a convolution, and the normalisation beside it as a scale and a shift."""

    kernel: Array
    """(5, 5, in, out), of a transposed convolution (5, 5, out, in)."""
    bias: Array
    scale: Array
    shift: Array


class Weights(NamedTuple):
    """The weights of one instrument's network, in the layout of Spleeter's checkpoints."""

    down: Sequence[Layer]
    up: Sequence[Layer]
    kernel: Array
    """Of the last layer, (4, 4, 1, 2)."""
    bias: Array
    is_elu: bool
    """Whether ELU is the activation; else leaky ReLU in the encoder, ReLU in the decoder."""


class UNets:
    """The networks of one model; safe to call from several threads.

    Args:
        library: The one that `library.load` finds.
        networks: The weights by instrument. They are copied, in the order in which the library reads them.
        is_softmax: Whether the networks share each bin by a softmax; else each has a sigmoid of its own.
        threads: How many networks are run at the same time, of one segment or of several. First come, first
            served: no thread waits while a network of any segment does.

    Raises:
        WeightsCorrupt: A weight has not the shape, the type or the order that the network needs.
    """

    def __init__(
        self, library: ctypes.CDLL, networks: Sequence[Weights], *, is_softmax: bool, threads: int = 1
    ) -> None:
        self._library = _declared(library)
        self._kept: list[Array] = []  # the library reads them
        self._networks = [_network(weights, self._kept) for weights in networks]
        self._is_softmax = is_softmax
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="unet")
        self._kept += self._threads.map(self._packed, self._networks)
        self._free: list[Array] = []
        self._lock = threading.Lock()

    def masks(self, magnitude: Array) -> list[Array]:
        """Return the share of every instrument.

        Args:
            magnitude: (2, frames, 1,024); `frames` is a multiple of 64.

        Returns:
            One array per instrument, shaped like `magnitude`, values 0 to 1.

        Raises:
            ValueError: The magnitudes have another shape.
        """
        frames = magnitude.shape[1] if magnitude.ndim == 3 else 0
        if magnitude.shape != (CHANNELS, frames, NETWORK_BINS) or not frames or frames % _FRAMES_STEP:
            raise ValueError(f"The networks do not take {magnitude.shape}.")
        magnitude = np.ascontiguousarray(magnitude, np.float32)
        values = [np.empty_like(magnitude) for _ in self._networks]
        list(self._threads.map(partial(self._run, magnitude), self._networks, values))
        addresses = (ctypes.c_void_p * len(values))(*(logits.ctypes.data for logits in values))
        self._library.unet_shares(
            addresses, len(values), self._is_softmax, magnitude.ctypes.data, magnitude.size, MASK_EPSILON
        )
        return values

    def _packed(self, network: _Network) -> Array:
        """Return the large kernels of a network, which refers to them from then on."""
        packed = np.empty(self._library.unet_packed(), np.float32)
        self._library.unet_pack(ctypes.byref(network), packed.ctypes.data)
        return packed

    def _run(self, magnitude: Array, network: _Network, logits: Array) -> None:
        frames = magnitude.shape[1]
        with self._memory(self._library.unet_memory(frames)) as memory:
            self._library.unet_run(
                ctypes.byref(network), magnitude.ctypes.data, frames, memory.ctypes.data, logits.ctypes.data
            )

    @contextmanager
    def _memory(self, size: int) -> Iterator[Array]:
        """Lend memory, which is kept for the next run."""
        with self._lock:
            memory = self._free.pop() if self._free else None
        if memory is None or memory.size < size:
            memory = np.empty(size, np.float32)
        try:
            yield memory
        finally:
            with self._lock:
                self._free.append(memory)


class _Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in Layer._fields]


class _Network(ctypes.Structure):
    _fields_ = [
        ("down", _Layer * _LAYERS),
        ("up", _Layer * _LAYERS),
        ("kernel", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("is_elu", ctypes.c_int),
    ]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.unet_packed.argtypes, library.unet_packed.restype = [], ctypes.c_long
    library.unet_pack.argtypes, library.unet_pack.restype = [pointer, pointer], None
    library.unet_memory.argtypes, library.unet_memory.restype = [integer], ctypes.c_long
    library.unet_run.argtypes, library.unet_run.restype = [pointer, pointer, integer, pointer, pointer], None
    library.unet_shares.argtypes = [pointer, integer, integer, pointer, ctypes.c_long, ctypes.c_float]
    library.unet_shares.restype = None
    return library


def _network(weights: Weights, kept: list[Array]) -> _Network:
    """Return the addresses of weights, whose shapes are checked: the library trusts them.

    All but the kernels that the library packs are copied to `kept`.
    """
    network = _Network(is_elu=weights.is_elu)
    if (len(weights.down), len(weights.up)) != (_LAYERS, _LAYERS):
        raise WeightsCorrupt(f"A network has {_LAYERS} layers in its encoder and in its decoder.")
    for number, (down, up) in enumerate(zip(weights.down, weights.up, strict=True)):
        given, filters = (_FILTERS << number - 1 if number else CHANNELS), _FILTERS << number
        network.down[number] = _layer(down, (*_TAPS, given, filters), filters, kept, is_packed=number > 0)
        # The first layer of the decoder sees one image, each further one the skip beside it.
        given = _FILTERS << min(_LAYERS - number, _LAYERS - 1)
        filters = _FILTERS << _LAYERS - 2 - number if number < _LAYERS - 1 else 1
        shape = (*_TAPS, filters, given)
        network.up[number] = _layer(up, shape, filters, kept, is_packed=number < _LAYERS - 1)
    network.kernel = _copied("kernel", weights.kernel, (*_LAST_TAPS, 1, CHANNELS), kept)
    network.bias = _copied("bias", weights.bias, (CHANNELS,), kept)
    return network


def _layer(
    layer: Layer, shape: tuple[int, ...], filters: int, kept: list[Array], *, is_packed: bool
) -> _Layer:
    kernel = layer.kernel
    return _Layer(
        _address("kernel", kernel, shape) if is_packed else _copied("kernel", kernel, shape, kept),
        *(
            _copied(name, array, (filters,), kept)
            for name, array in zip(Layer._fields[1:], layer[1:], strict=True)
        ),
    )


def _copied(name: str, array: Array, shape: tuple[int, ...], kept: list[Array]) -> int:
    _address(name, array, shape)
    kept.append(array.copy())
    return int(kept[-1].ctypes.data)


def _address(name: str, array: Array, shape: tuple[int, ...]) -> int:
    if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise WeightsCorrupt(
            f"A {name} of the network is {array.dtype} {array.shape}, and must be float32 {shape} row by row."
        )
    return int(array.ctypes.data)
