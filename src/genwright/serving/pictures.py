"""Draws as pictures: grids, clouds of points, PNG files, animations.

What a generator drew becomes pixels here, for `genwright draw`, for reports and for pages of the
documentation. PNG is written with the standard library, so that a report needs no further package;
animations are Pillow's.

W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", Sections 5 and 11.
"""

import base64
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, MissingFile, require

Pixels = NDArray[np.uint8]
"""[height, width, 3]."""

GROUND = 255
ANIMATIONS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
"""Ending of an animation's file -> Pillow's name of the format."""

CHANNELS = (1, 3)


def is_pictures(values: Any) -> bool:
    """Whether values are [n, 1 or 3, height, width]."""
    return getattr(values, "ndim", 0) == 4 and values.shape[1] in CHANNELS


def is_points(values: Any) -> bool:
    """Whether values are [n, 2]."""
    return getattr(values, "ndim", 0) == 2 and values.shape[1] == 2


def shown(values: Any, *, columns: int = 0, scale: int = 0) -> Pixels:
    """Return draws as one picture: a grid of pictures, or a cloud of points.

    Args:
        values: [n, channels, height, width] in [-1, 1] or uint8, or [n, 2].
        columns: of a grid; 0 for nearly a square.
        scale: pixels of the grid for each of a picture; 0 for about 48 a picture.

    Raises:
        InvalidArgument: draws that are neither.
    """
    array = np.asarray(values)
    if is_points(array):
        return scatter(array)
    if is_pictures(array):
        return grid(array, columns=columns, scale=scale)
    raise InvalidArgument(
        "only pictures [n, 1 or 3, height, width] and points [n, 2] can be shown, got "
        f"{getattr(values, 'shape', type(values).__name__)}."
    )


def grid(values: Any, *, columns: int = 0, scale: int = 0, gap: int = 1) -> Pixels:
    """Return pictures side by side, row by row, on a white ground.

    Args:
        values: [n, channels, height, width]: floats in [-1, 1], clipped, or uint8.
        columns: pictures in a row; 0 for nearly a square.
        scale: how many times each pixel is repeated; 0 for about 48 pixels a picture.
        gap: pixels between pictures, before scaling.

    Raises:
        InvalidArgument: no pictures, or another shape.
    """
    array = np.asarray(values)
    if not is_pictures(array) or not len(array):
        raise InvalidArgument(f"grid: needs [n, 1 or 3, height, width], got {array.shape}.")
    n, _, height, width = array.shape
    columns = min(n, columns or int(np.ceil(np.sqrt(n))))
    lines = -(-n // columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap, 3), GROUND)
    for i, picture in enumerate(_bytes(array)):
        row, column = divmod(i, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    times = scale or max(1, round(48 / max(height, width)))
    return sheet.astype(np.uint8).repeat(times, 0).repeat(times, 1)


def scatter(points: Any, *, extent: float = 0.0, side: int = 240) -> Pixels:
    """Return points as a square picture, darker where there are more.

    Args:
        points: [n, 2].
        extent: the picture shows [-extent, extent] both ways; 0 to hold all but the farthest 1%.
        side: pixels of a side.

    Raises:
        InvalidArgument: no points, or another shape.
    """
    array = np.asarray(points, dtype=np.float64)
    if not is_points(array) or not len(array):
        raise InvalidArgument(f"scatter: needs points [n, 2], got {array.shape}.")
    reach = extent or 1.1 * float(np.quantile(abs(array).max(1), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, side + 1)
    counts, _, _ = np.histogram2d(-array[:, 1], array[:, 0], bins=(edges, edges))
    ink = np.log1p(counts) / max(np.log1p(counts).max(), 1e-9)
    shade = np.where(counts > 0, 0.25 + 0.75 * ink, 0)[..., None]
    colour = np.array([36, 86, 184])
    return np.round(GROUND * (1 - shade) + colour * shade).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    body = zlib.compress(lines.tobytes(), 9)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def data_url(pixels: Pixels) -> str:
    """Return a picture as the address of an `img` element that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def save_picture(pixels: Pixels, path: str | Path) -> None:
    """Write a PNG file.

    Raises:
        MissingFile: no such folder.
        InvalidArgument: another ending.
    """
    target = _target(path, (".png",))
    target.write_bytes(png(pixels))


def save_animation(frames: Sequence[Pixels], path: str | Path, *, seconds: float = 3.0) -> None:
    """Write an animation that begins again after resting on its last frame for a second.

    Args:
        frames: of one shape.
        path: ending in .gif, .png or .apng (an animated PNG), or .webp.
        seconds: how long one round takes, the rest apart.

    Raises:
        MissingFile: no such folder.
        InvalidArgument: no frames, another ending, or a time that is not above 0.
        MissingExtra: Pillow is not installed.
    """
    target = _target(path, tuple(ANIMATIONS))
    if not frames or not seconds > 0:
        raise InvalidArgument(
            f"save_animation: needs frames and seconds above 0, got {len(frames)}, {seconds}."
        )
    image: Any = require("PIL.Image", extra="images", needed_by="an animation")
    pictures = [image.fromarray(frame) for frame in frames]
    each = max(20, round(1000 * seconds / len(frames)))
    times = [each] * (len(frames) - 1) + [each + 1000]
    pictures[0].save(
        target,
        format=ANIMATIONS[target.suffix.lower()],
        save_all=True,
        append_images=pictures[1:],
        duration=times,
        loop=0,
    )


def _bytes(array: NDArray[Any]) -> Pixels:
    """Return pictures as uint8 [n, height, width, 3]."""
    if array.dtype != np.uint8:
        array = np.round((np.clip(array.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8)
    colour = array if array.shape[1] == 3 else array.repeat(3, axis=1)
    return np.moveaxis(colour, 1, 3)


def _target(path: str | Path, endings: tuple[str, ...]) -> Path:
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise InvalidArgument(f"{target} must end in {' or '.join(endings)}.")
    if not target.parent.is_dir():
        raise MissingFile(f"there is no folder {target.parent}; make it first.")
    return target
