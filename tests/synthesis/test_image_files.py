"""Pictures of files come in as they are, and a mixture is refused by name."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, MissingFile
from genwright.synthesis.image_files import ImageFolder, dataset_images, image_folder

Image = pytest.importorskip("PIL.Image")


def picture(path, size=(4, 4), mode="L", value=255):
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)
    return path


def test_sub_folders_are_classes_and_values_are_scaled(tmp_path):
    picture(tmp_path / "white" / "a.png")
    picture(tmp_path / "black" / "b.png", value=0)
    picture(tmp_path / "black" / "c.PNG", value=51)
    found = image_folder(tmp_path)
    assert found.classes == ("black", "white")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.pixels[:, 0, 0, 0] == pytest.approx([-1, -0.6, 1])
    assert len(ImageFolder(path=str(tmp_path)).rows()) == 3


def test_jpeg_is_read_too(tmp_path):
    picture(tmp_path / "a.jpg", mode="RGB")
    assert image_folder(tmp_path).pixels[0, :, 0, 0] == pytest.approx([1, -1, -1], abs=0.05)


@pytest.mark.parametrize("other", [{"size": (4, 6)}, {"mode": "RGB"}], ids=["size", "kind"])
def test_a_mixture_is_refused_by_name_unless_it_is_brought_to_one(tmp_path, other):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", **other)
    with pytest.raises(InvalidArgument, match=r"a\.png is of 4 x 4.*b\.png.*size="):
        image_folder(tmp_path)
    assert image_folder(tmp_path, size=4, channels=3).pixels.shape == (2, 3, 4, 4)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InvalidArgument, match=r"a\.png cannot be read"):
        image_folder(tmp_path)
    picture(tmp_path / "a.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "b.jpg")
    with pytest.raises(InvalidArgument, match=r"b\.jpg is of mode 'CMYK'"):
        image_folder(tmp_path)


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(MissingFile, match=r"holds no \.png"):
        image_folder(tmp_path)
    with pytest.raises(MissingFile, match="no folder"):
        image_folder(tmp_path / "x")
    with pytest.raises(InvalidArgument, match="channels must be"):
        image_folder(picture(tmp_path / "a.png").parent, channels=2)


def test_a_datasets_set_equals_its_pictures():
    datasets = pytest.importorskip("datasets")
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    columns = {"image": [Image.fromarray(a) for a in arrays], "label": [1, 0, 1]}
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
    found = dataset_images(made)
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [1, 0, 1]
    assert np.allclose(found.pixels, np.moveaxis(arrays, 3, 1) / 127.5 - 1, atol=1e-6)
    with pytest.raises(InvalidArgument, match="columns image, label"):
        dataset_images(made, image="picture")
