"""Updates that are made smaller for the way from client to server, in arrays whose bytes are what is sent.

* `bf16`: the upper half of each fp32 number, rounded to even, as uint16: 2 bytes a number.
* `int8`: q = round(127 x / max|x|) with the scale max|x| / 127 beside it, for each tensor: 1 byte a number.
  The scale is an fp32 number: what is smaller than its smallest normal one, 1.2e-38, may arrive as 0.
* `top-k`: the share k of a tensor's numbers that are largest in size, with their places: 8 bytes each. What
  was left out is added to the client's next update ("error feedback", Stich et al., arXiv 1809.07599):

      p = Δ_t + e_t,   sent: top_k(p),   e_{t+1} = p - top_k(p)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy

from evaluation.federated.factors import Arrays, Matrix

_SCALE, _PLACES, _VALUES = "/scale", "/places", "/values"
_MOST = 127


def packed(update: Arrays, kind: str, share: float) -> Arrays:
    """An update as it travels; `share` is that of top-k."""
    if kind == "bf16":
        return {name: _upper_halves(array) for name, array in update.items()}
    arrays: Arrays = {}
    for name, array in update.items():
        if kind == "int8":
            scale = numpy.float32(numpy.abs(array).max(initial=0) / _MOST)
            quotients = array / scale if scale > 0 and numpy.isfinite(scale) else numpy.zeros_like(array)
            arrays |= {
                name: numpy.rint(quotients).clip(-_MOST, _MOST).astype(numpy.int8),
                name + _SCALE: numpy.array([scale]),
            }
        else:
            flat = array.ravel()
            count = kept_numbers(flat.size, share)
            places = numpy.sort(numpy.argpartition(-numpy.abs(flat), count - 1)[:count])
            arrays |= {name + _PLACES: places.astype(numpy.uint32), name + _VALUES: flat[places]}
    return arrays


def unpacked(arrays: Arrays, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """The update in fp32 that travelled for tensors of these shapes. Raises ValueError if it does not fit."""
    suffixes = {"bf16": ("",), "int8": ("", _SCALE), "top-k": (_PLACES, _VALUES)}[kind]
    if arrays.keys() != {name + suffix for name in shapes for suffix in suffixes}:
        raise ValueError("its compressed adapter has other tensors")
    return {name: _unpacked(arrays, kind, name, shape) for name, shape in shapes.items()}


def _unpacked(arrays: Arrays, kind: str, name: str, shape: tuple[int, ...]) -> Matrix:
    if kind == "top-k":
        places, values = arrays[name + _PLACES], arrays[name + _VALUES]
        size = math.prod(shape)
        if places.dtype != numpy.uint32 or values.dtype != numpy.float32 or places.shape != values.shape:
            raise ValueError(f"{name} is not packed as top-k")
        if places.ndim != 1 or places.size > size or (places.size and places.max() >= size):
            raise ValueError(f"{name} has places beyond its {size:,} numbers")
        whole = numpy.zeros(size, numpy.float32)
        whole[places] = values
        return whole.reshape(shape)
    array = arrays[name]
    if array.shape != shape or array.dtype != (numpy.uint16 if kind == "bf16" else numpy.int8):
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {shape} packed as {kind}")
    if kind == "bf16":
        return (array.astype(numpy.uint32) << 16).view(numpy.float32)
    scale = arrays[name + _SCALE]
    if scale.shape != (1,) or scale.dtype != numpy.float32:
        raise ValueError(f"{name} has no scale")
    return array.astype(numpy.float32) * scale


def kept_numbers(size: int, share: float) -> int:
    """How many numbers of a tensor top-k sends: at least one."""
    return min(size, max(1, math.ceil(share * size)))


def bytes_of(size: int, kind: str, share: float) -> int:
    """What a tensor of so many numbers weighs on its way."""
    return {
        "none": 4 * size,
        "bf16": 2 * size,
        "int8": size + 4,
        "top-k": 8 * kept_numbers(size, share),
    }[kind]


def _upper_halves(array: Matrix) -> Matrix:
    bits = numpy.ascontiguousarray(array, numpy.float32).view(numpy.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return numpy.where(numpy.isnan(array), bits >> 16 | 0x40, rounded).astype(numpy.uint16)
