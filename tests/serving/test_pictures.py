"""Pictures hold the pixels they were made of, and PNG files are read back by another program."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, MissingFile
from genwright.serving.pictures import (
    data_url,
    grid,
    is_pictures,
    png,
    save_animation,
    save_picture,
    scatter,
    shown,
)

Image = pytest.importorskip("PIL.Image")


def test_a_grid_holds_every_picture_in_its_place():
    values = np.linspace(-1, 1, 6).reshape(6, 1, 1, 1) * np.ones((6, 1, 2, 3))
    sheet = grid(values, columns=4, scale=2, gap=1)
    assert sheet.shape == ((2 + 1 + 2) * 2, (4 * 3 + 3) * 2, 3)
    for i in range(6):
        row, column = divmod(i, 4)
        block = sheet[row * 6 : row * 6 + 4, column * 8 : column * 8 + 6]
        assert (block == round(i * 51)).all()
    assert (sheet[4:6] == 255).all()  # the gap
    assert (sheet[6:, 16:] == 255).all()  # places without a picture


def test_colours_stay_in_order_and_values_are_clipped():
    red = np.array([5.0, -1.0, -7.0]).reshape(1, 3, 1, 1)
    assert grid(red, scale=1)[0, 0].tolist() == [255, 0, 0]
    assert grid(np.full((1, 3, 1, 1), 7, np.uint8), scale=1)[0, 0].tolist() == [7, 7, 7]


def test_points_lie_where_they_are():
    """The picture's first axis points down, the second coordinate up."""
    picture = scatter(np.array([[0.5, 0.9]] * 3), extent=1, side=20)
    dark = np.argwhere(picture[..., 0] < 255)
    assert dark.tolist() == [[1, 15]]


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 3), (300, 2, 3)], ids=str)
def test_png_is_read_back_bit_by_bit(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_picture(pixels, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    assert data_url(pixels).startswith("data:image/png;base64,iVBOR")
    assert png(pixels) == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_has_its_frames(tmp_path, name):
    frames = [np.full((4, 4, 3), shade, np.uint8) for shade in (0, 120, 255)]
    save_animation(frames, tmp_path / name, seconds=0.3)
    with Image.open(tmp_path / name) as found:
        assert found.n_frames == 3
        found.seek(2)
        assert abs(int(np.asarray(found.convert("RGB"))[0, 0, 0]) - 255) < 8


def test_bad_input_is_refused(tmp_path):
    frame = np.zeros((2, 2, 3), np.uint8)
    assert not is_pictures(np.zeros((1, 2, 4, 4)))
    with pytest.raises(InvalidArgument, match="only pictures"):
        shown(np.zeros((3, 5)))
    with pytest.raises(InvalidArgument, match=r"needs \[n, 1 or 3"):
        grid(np.zeros((0, 1, 4, 4)))
    with pytest.raises(InvalidArgument, match="needs points"):
        scatter(np.zeros((0, 2)))
    with pytest.raises(InvalidArgument, match=r"must end in \.png"):
        save_picture(frame, tmp_path / "a.jpg")
    with pytest.raises(MissingFile, match="make it first"):
        save_picture(frame, tmp_path / "x" / "a.png")
    with pytest.raises(InvalidArgument, match="needs frames"):
        save_animation([], tmp_path / "a.gif")
