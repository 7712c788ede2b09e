"""Pixels of 10 and 12 bits without gaps, high bits first, as Phantom and Photron cameras store them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
"""Pixels that are converted at a time, so that they stay in the processor's cache."""
_STEPS = (
    "311111111111101111111111111111011111111111111101111111111111110111111111111111101111111111111110"
    "111111111111111101111111111111110111111111111011111111111111111211111111121111112111121112111211"
    "121121121121121211212121121212121212122121221212212212212212221222122212222212222222122222222222"
    "222222222222322222223222223222322232223223223223223232322323232323232323323232332332332332333233"
    "323332333332333333332333333333333333333343333333343333433334333433433343343433434334343434343434"
    "343443434434434434434443444344443444444344444444444444444444444444544444544445444544454454454454"
    "454545445454545454554545455455455455455545554555545555554555555555555555555555555565555556555565"
    "556555655655655656556565656565656565656656656566566656665666566665666666665666666666666667666666"
    "667666676666766676676676676766767676767676767676776767767767776777677767777767777777777767777787"
    "777777777787777787777877787787787787787878778787878788787878878878878878887888878888878888888888"
    "888888888888888988888988889888988988988988989898898988"
)
"""By how much the linear value increases from one value of P10 to the next, from 2 at 0 to 4064 at 1014.

Cine File Format manual 13.8.804.6 (Vision Research, 2023), Appendix 1; higher values of P10 are 4095.
"""


def _p10_table() -> NDArray[np.uint16]:
    linear = 2 + np.cumsum([0, *map(int, _STEPS)])
    return np.concatenate([linear, np.full(1024 - len(linear), 4095)]).astype(np.uint16)


P10 = _p10_table()
"""(1024,) the linear 12-bit value of each value of Phantom's format P10, which stores greys companded to 10 bits."""


def packed_bytes(pixels: int, bits: int) -> int:
    """Bytes of ``pixels`` pixels of ``bits`` bits without gaps; the last byte may be incomplete."""
    return -(-pixels * bits // 8)


def unpack(
    data: memoryview, bits: int, pixels: int, table: NDArray[np.uint16] | None = None
) -> NDArray[np.uint16]:
    """The values of (pixels,) pixels of 10 or 12 bits, or what ``table`` gives for each value.

    Raises ValueError where ``data`` is too short.
    """
    stored = np.frombuffer(data, np.uint8, packed_bytes(pixels, bits))
    values = np.empty(pixels, np.uint16)
    part = np.zeros(packed_bytes(_BLOCK, bits) + 8, np.uint8)  # the last word reaches beyond the pixels
    for start in range(0, pixels, _BLOCK):
        stop = min(start + _BLOCK, pixels)
        here = stored[start * bits // 8 : packed_bytes(stop, bits)]
        part[: len(here)] = here
        decoded = _four_by_four(part, bits, -(-(stop - start) // 4))[: stop - start]
        if table is None:
            values[start:stop] = decoded
        else:
            table.take(decoded, out=values[start:stop], mode="clip")
    return values


def _four_by_four(data: NDArray[np.uint8], bits: int, fours: int) -> NDArray[np.uint16]:
    """(4 * fours,) values: four pixels at a time, in the high bits of a word of 64, are moved to 16 bits each."""
    two, one = np.uint64((1 << 2 * bits) - 1), np.uint64(((1 << bits) - 1) * ((1 << 32) + 1))
    high: NDArray[np.uint64] = np.ndarray(fours, ">u8", data, 0, (bits // 2,)).astype(np.uint64)
    high >>= np.uint64(64 - 4 * bits)
    low = (high & two) << np.uint64(32)
    high >>= np.uint64(2 * bits)
    high |= low
    np.bitwise_and(high, one, out=low)
    low <<= np.uint64(16)
    high >>= np.uint64(bits)
    high &= one
    high |= low
    return high.astype("<u8", copy=False).view("<u2").astype(np.uint16, copy=False)
