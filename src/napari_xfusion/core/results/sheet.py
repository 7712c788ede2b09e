"""Pictures with their titles on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from napari_xfusion.core.quantities import length_in_words

BAR = 22
"""Pixels of the line of text above a picture."""
WHITE, BLACK = 255, 0


def labelled(picture: NDArray[np.uint8], text: str, top: int = 3) -> NDArray[np.uint8]:
    """The picture, (H, W) or (H, W, 3), below a white bar of BAR pixels with ``text`` ``top`` pixels from its edge."""
    bar = Picture.fromarray(np.full((BAR, *picture.shape[1:]), WHITE, np.uint8))
    plain = text.replace("µ", "u")  # which Pillow's own font lacks
    shade = BLACK if picture.ndim == 2 else (BLACK,) * 3
    ImageDraw.Draw(bar).text((4, top), plain, fill=shade, font=ImageFont.load_default(14))
    return np.concatenate([np.asarray(bar), picture])


def with_scale_bar(picture: NDArray[np.uint8], pixel: float) -> NDArray[np.uint8]:
    """The picture (H, W, 3), whose pixels are ``pixel`` micrometres wide, with a bar of a round length in its corner.

    The bar is at most a quarter as long as the picture, white with a black edge.
    """
    height, width = picture.shape[:2]
    most = pixel * width / 4
    unit = 10.0 ** np.floor(np.log10(most))
    length = max(unit * step for step in (1, 2, 5) if unit * step <= most)
    drawn = Picture.fromarray(picture)
    draw, margin = ImageDraw.Draw(drawn), max(width // 40, 4)
    right, bottom = width - 1 - margin, height - 1 - margin
    left, top = right - round(length / pixel) + 1, bottom - max(height // 60, 2) + 1
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=(BLACK,) * 3)
    draw.rectangle((left, top, right, bottom), fill=(WHITE,) * 3)
    draw.text(
        ((left + right) / 2, top - 4),
        length_in_words(length).replace("µ", "u"),
        fill=(WHITE,) * 3,
        stroke_fill=(BLACK,) * 3,
        stroke_width=1,
        font=ImageFont.load_default(14),
        anchor="mb",
    )
    return np.asarray(drawn)


def sheet(
    pictures: Sequence[NDArray[np.uint8]], across: int, gap: tuple[int, int] = (0, 0)
) -> NDArray[np.uint8]:
    """The pictures, (H, W) or (H, W, 3), in rows of ``across``, with white gaps (vertical, horizontal) in pixels.

    Those of a row have one height, and all rows one width.
    """
    rows = [_joined(pictures[k : k + across], gap[1], axis=1) for k in range(0, len(pictures), across)]
    return _joined(rows, gap[0], axis=0)


def _joined(pictures: Sequence[NDArray[np.uint8]], gap: int, axis: int) -> NDArray[np.uint8]:
    shape = list(pictures[0].shape)
    shape[axis] = gap
    white = np.full(shape, WHITE, np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (white, picture)][1:], axis=axis)
