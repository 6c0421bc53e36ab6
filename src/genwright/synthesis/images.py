"""Sets of small pictures, all of one shape, in [-1, 1].

`digits` are handwritten (scikit-learn's own copy of 1,797 of the UCI optical digits, 8 x 8),
`emoji` are drawn (32 x 32, read where a folder of data holds them); `synthesis.sprites` renders
pictures whose every factor is known, `synthesis.image_files` reads folders and `datasets` sets.

Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, doi:10.24432/C50P49. Ours: the scaling and the split.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, MissingFile, child_seed, method, require
from genwright.core.environment import data_folder


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Pictures of one shape, with a class each.

    Args:
        pixels: float32[n, channels, height, width], in [-1, 1].
        labels: int64[n], indices into `classes`.
        classes: their names.
        factors: what else is known of each picture, by name: int64[n] each.

    Raises:
        InvalidArgument: arrays that do not belong together, or pixels outside [-1, 1].
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    factors: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4:
            raise InvalidArgument(
                f"Images: pixels must be [n, channels, height, width], got {self.pixels.shape}."
            )
        if any(len(column) != len(self) for column in (self.labels, *self.factors.values())):
            raise InvalidArgument(f"Images: {len(self)} pictures need as many labels and factors.")
        if len(self) and not (self.pixels.min() >= -1 and self.pixels.max() <= 1):
            raise InvalidArgument(
                f"Images: pixels must be in [-1, 1], got {self.pixels.min():.3g} to "
                f"{self.pixels.max():.3g}."
            )
        if len(self) and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise InvalidArgument(
                f"Images: labels must be in 0..{len(self.classes) - 1}, got {self.labels.min()} "
                f"to {self.labels.max()}."
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> "Images":
        """Return the pictures of a slice, a mask or an array of indices."""
        return Images(
            pixels=self.pixels[index],
            labels=self.labels[index],
            classes=self.classes,
            factors={name: column[index] for name, column in self.factors.items()},
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.pixels.shape[1:]  # pyright: ignore[reportReturnType]

    @property
    def sigma_data(self) -> float:
        """The standard deviation of all pixels, which preconditioning needs."""
        return float(self.pixels.std())

    def split(self, first: float, *, seed: int) -> tuple["Images", "Images"]:
        """Return two parts at random, the first with that share of the pictures, rounded down.

        Raises:
            InvalidArgument: a share outside [0, 1].
        """
        if not 0 <= first <= 1:
            raise InvalidArgument(f"Images.split: the share must be in [0, 1], got {first}.")
        order = np.random.default_rng(child_seed(seed, "split")).permutation(len(self))
        cut = int(first * len(self))
        return self[order[:cut]], self[order[cut:]]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a picture: `label` (its index), `class` (its name), `image` (lists)."""
        return [
            {"label": int(label), "class": self.classes[label], "image": image.tolist()}
            for label, image in zip(self.labels, self.pixels, strict=True)
        ]


def digits() -> Images:
    """Return 1,797 handwritten digits of 8 x 8 pixels; the standard deviation is 0.752.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    sets: Any = require("sklearn.datasets", extra="images", needed_by="synthesis.images.digits")
    pictures, labels = sets.load_digits(return_X_y=True)
    return Images(
        pixels=(pictures.reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32),
        labels=labels.astype(np.int64),
        classes=tuple("0123456789"),
    )


def digits_split() -> tuple[Images, Images]:
    """Return the 1,347 digits that everything here trains on and the 450 that are held out."""
    return digits().split(0.75, seed=0)


def emoji(style: str = "noto") -> Images:
    """Return emoji of 32 x 32 pixels on white, one class each, named as Unicode names them.

    Args:
        style: whose drawings; `images/STYLE_emoji32.npz` of the folder `GENWRIGHT_DATA` holds
            `images` (uint8[n, 32, 32, 3]) and `captions`.

    Raises:
        MissingFile: the file is not there.
    """
    path = data_folder() / "images" / f"{style}_emoji32.npz"
    if not path.is_file():
        raise MissingFile(
            f"emoji: there is no {path}; set GENWRIGHT_DATA to the folder of data that holds it."
        )
    with np.load(path, allow_pickle=False) as file:
        pictures, captions = file["images"], file["captions"]
    return Images(
        pixels=np.moveaxis(pictures, 3, 1).astype(np.float32) / 127.5 - 1,
        labels=np.arange(len(pictures)),
        classes=tuple(str(caption) for caption in captions),
    )


@method(paper="doi:10.24432/C50P49")
@dataclass(frozen=True, kw_only=True)
class DigitImages:
    """Handwritten digits as rows for a task file: `label`, `class` and `image`.

    Args:
        split: `"train"`, the 1,347 that everything here trains on, or `"held-out"`, the other 450.
        n: the first so many; None for all.

    Raises:
        InvalidArgument: another split, or n below 1.
    """

    split: str = "train"
    n: int | None = None

    def __post_init__(self) -> None:
        if self.split not in ("train", "held-out"):
            raise InvalidArgument(
                f"DigitImages: split must be 'train' or 'held-out', got {self.split!r}."
            )
        if self.n is not None and self.n < 1:
            raise InvalidArgument(f"DigitImages: n must be 1 or more, got {self.n}.")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, in an order that mixes the classes."""
        return digits_split()[self.split == "held-out"][: self.n].rows()
