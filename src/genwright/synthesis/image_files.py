"""Pictures that somebody else made: folders of PNG and JPEG files, and `datasets` image sets.

All pictures of a set must have one size and one kind (grey or colour), because a network has; a set
that mixes them is refused with the names of two that differ, unless the caller says what they shall
be brought to.

Reading and resizing are Pillow's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, MissingFile, method, require
from genwright.synthesis.images import Images

ENDINGS = (".png", ".jpg", ".jpeg")
KINDS = {1: "L", 3: "RGB"}
"""Channels -> Pillow's name of the mode."""


def image_folder(
    path: str | Path, *, size: int | None = None, channels: int | None = None
) -> Images:
    """Return the PNG and JPEG pictures of a folder, in the order of their names.

    Args:
        path: the folder. Pictures in sub-folders have the sub-folder's name for a class; without
            sub-folders all are of one class, named for the folder.
        size: bring every picture to this height and width; None refuses pictures that differ.
        channels: 1 for grey, 3 for colour, whatever the files hold; None refuses a mixture.

    Raises:
        MissingFile: no such folder, or no picture in it.
        InvalidArgument: pictures of mixed size or kind, or a file that is no picture.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MissingFile(f"image_folder: there is no folder {str(path)!r}.")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not files:
        raise MissingFile(f"image_folder: {str(path)!r} holds no {', '.join(ENDINGS)} file.")
    names = [p.relative_to(folder).parts[0] if p.parent != folder else folder.name for p in files]
    classes = tuple(sorted(set(names)))
    return Images(
        pixels=_pixels(((str(p.relative_to(folder)), p) for p in files), size, channels),
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        classes=classes,
    )


def dataset_images(
    dataset: Any,
    *,
    image: str = "image",
    label: str = "label",
    size: int | None = None,
    channels: int | None = None,
) -> Images:
    """Return the pictures of a `datasets.Dataset`.

    Args:
        dataset: of one split.
        image: the column of pictures.
        label: the column of classes; where there is none, all pictures are of one class.
        size: bring every picture to this height and width; None refuses pictures that differ.
        channels: 1 for grey, 3 for colour; None refuses a mixture.

    Raises:
        InvalidArgument: no such column, an empty set, or pictures of mixed size or kind.
    """
    columns = list(dataset.column_names)
    if image not in columns or not len(dataset):
        raise InvalidArgument(
            f"dataset_images: needs pictures in the column {image!r}; the set has {len(dataset)} "
            f"rows with the columns {', '.join(columns)}."
        )
    given = list(dataset[label]) if label in columns else ["all"] * len(dataset)
    named = getattr(dataset.features.get(label), "names", None)
    classes: list[Any] = list(range(len(named))) if named else sorted(set(given))
    return Images(
        pixels=_pixels(((f"row {i}", row[image]) for i, row in enumerate(dataset)), size, channels),
        labels=np.array([classes.index(value) for value in given], dtype=np.int64),
        classes=tuple(map(str, named or classes)),
    )


@method(name="image_folder")
@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """The pictures of a folder as rows for a task file: `label`, `class` and `image`.

    Args:
        path: see `image_folder`; in a task file a name of `[data]`, such as `"{pictures}"`.
        size: the side that every picture is brought to, None for as they are.
        channels: 1 for grey, 3 for colour, None for as they are.
    """

    path: str
    size: int | None = None
    channels: int | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a picture."""
        return image_folder(self.path, size=self.size, channels=self.channels).rows()


def _pixels(
    pictures: Iterable[tuple[str, Any]], size: int | None, channels: int | None
) -> NDArray[np.float32]:
    """Read pictures into one array, float32[n, channels, height, width] in [-1, 1]."""
    if channels not in (None, *KINDS) or (size is not None and size < 1):
        raise InvalidArgument(
            f"images: channels must be 1 or 3 and size 1 or more, got {channels} and {size}."
        )
    image: Any = require("PIL.Image", extra="images", needed_by="synthesis.image_files")
    first = ""
    arrays: list[NDArray[np.float32]] = []
    for name, source in pictures:
        try:
            opened = image.open(source) if isinstance(source, Path) else source
            opened.load()
        except (OSError, SyntaxError, AttributeError) as error:
            raise InvalidArgument(f"images: {name} cannot be read as a picture: {error}.") from None
        if channels is not None:
            opened = opened.convert(KINDS[channels])
        elif opened.mode not in KINDS.values():
            raise InvalidArgument(
                f"images: {name} is of mode {opened.mode!r}; say channels=1 or channels=3 to "
                "convert every picture."
            )
        if size is not None and opened.size != (size, size):
            opened = opened.resize((size, size), image.Resampling.LANCZOS)
        array = np.asarray(opened, dtype=np.float32)
        array = (array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)) / 127.5 - 1
        if arrays and array.shape != arrays[0].shape:
            raise InvalidArgument(
                f"images: {first} is of {_told(arrays[0])} and {name} of {_told(array)}; say size= "
                "and channels= to bring every picture to one."
            )
        first = first or name
        arrays.append(array)
    return np.stack(arrays)


def _told(array: NDArray[np.float32]) -> str:
    kind = "grey" if array.shape[0] == 1 else "colour"
    return f"{array.shape[2]} x {array.shape[1]} pixels, {kind}"
