"""Rendered pictures whose every factor is known: shape, colour, size and place.

Choose them where a caption, a count or a diversity must be checkable without a doubt: what was
drawn is returned beside the picture. Filled sprites on a dark ground and outlined ones on a light
ground are two domains with the same factors.

Ours; after the idea of dSprites (Matthey et al. 2017, https://github.com/deepmind/dsprites-dataset),
with rendering by distance functions.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, child_seed
from genwright.synthesis.images import Images

Field = NDArray[np.float64]


def _bar(x: Field, y: Field) -> Field:
    return np.maximum(abs(x) - 1, abs(y) - 0.42)


SHAPES: dict[str, Callable[[Field, Field], Field]] = {
    "disc": lambda x, y: np.hypot(x, y) - 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.85,
    "diamond": lambda x, y: (abs(x) + abs(y) - 1.2) / np.sqrt(2),
    "triangle": lambda x, y: np.maximum(y - 0.75, (1.75 * abs(x) - y - 1) / np.hypot(1.75, 1)),
    "cross": lambda x, y: np.minimum(_bar(x, y), _bar(y, x)),
    "bar": _bar,
}
"""Name -> the distance from the outline of the shape of radius 1, negative inside."""

COLOURS = {
    "red": (0.8, -0.7, -0.7),
    "green": (-0.7, 0.6, -0.7),
    "blue": (-0.6, -0.5, 0.9),
    "yellow": (0.7, 0.6, -0.8),
    "magenta": (0.7, -0.7, 0.7),
    "cyan": (-0.7, 0.6, 0.7),
    "orange": (0.9, 0.0, -0.8),
    "grey": (0.0, 0.0, 0.0),
}
"""Name -> red, green, blue in [-1, 1]."""

SIZES = (0.18, 0.21, 0.24, 0.27, 0.30)
"""Radii, as shares of the picture's side."""

PLACES = tuple(product((0.32, 0.5, 0.68), repeat=2))
"""Centres (row, column), as shares of the picture's side."""

GROUNDS = {"filled": -0.9, "outlined": 0.9}
LINE = 1.2
"""Width of an outline in pixels."""


def sprites(n: int, *, seed: int, size: int = 16, style: str = "filled") -> Images:
    """Return n pictures with independent, uniform factors; their class is the shape.

    Args:
        n: how many.
        seed: picture i depends on it and on i alone.
        size: pixels of a side; 12 or more, or shapes cannot be told apart.
        style: `"filled"` on a dark ground, or `"outlined"` on a light one.

    Returns:
        pictures of 3 channels; `factors` holds shape (6), colour (8), size (5) and place (9).

    Raises:
        InvalidArgument: a value out of range.
    """
    if style not in GROUNDS:
        raise InvalidArgument(f"sprites: style must be one of {', '.join(GROUNDS)}, got {style!r}.")
    if n < 0 or size < 12:
        raise InvalidArgument(f"sprites: n must be 0 or more, size 12 or more, got {n}, {size}.")
    counts = {
        "shape": len(SHAPES),
        "colour": len(COLOURS),
        "size": len(SIZES),
        "place": len(PLACES),
    }
    factors = {
        name: np.array([child_seed(seed, name, i) % count for i in range(n)], dtype=np.int64)
        for name, count in counts.items()
    }
    pixels = [draw(size, style, *(int(factors[name][i]) for name in counts)) for i in range(n)]
    return Images(
        pixels=np.stack(pixels) if pixels else np.zeros((0, 3, size, size), np.float32),
        labels=factors["shape"],
        classes=tuple(SHAPES),
        factors=factors,
    )


def draw(
    side: int, style: str, shape: int, colour: int, size: int, place: int
) -> NDArray[np.float32]:
    """Return one picture, float32[3, side, side], its edges smoothed over one pixel."""
    centre_row, centre_column = PLACES[place]
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    radius = SIZES[size] * side
    form = list(SHAPES.values())[shape]
    y, x = (rows - centre_row * side) / radius, (columns - centre_column * side) / radius
    distance = form(x, y) * radius  # in pixels
    if style == "outlined":
        distance = abs(distance + LINE / 2) - LINE / 2
    cover = np.clip(0.5 - distance, 0, 1)
    ink = np.array(list(COLOURS.values())[colour]).reshape(3, 1, 1)
    return (GROUNDS[style] * (1 - cover) + ink * cover).astype(np.float32)
