"""Real photos for the demo, the tests and the bench.

    make_photos.py PHOTOS_DIR SMALL_DIR TENSORS_DIR

PHOTOS_DIR gets the two 640x427 photos that scikit-learn ships, SMALL_DIR 24 different 224x224
JPEGs cut and scaled from them, 00.jpg to 23.jpg, and TENSORS_DIR the pixels of those as ready
input tensors, [1, 224, 224, 3] u8 in BGR order, 00.tensor to 23.tensor.
"""

import pathlib
import random
import shutil
import sys

import numpy as np
import sklearn.datasets
from PIL import Image

SMALL_COUNT = 24
SMALL_SIDE = 224


def main(photos_dir: pathlib.Path, small_dir: pathlib.Path, tensors_dir: pathlib.Path) -> None:
    source = pathlib.Path(sklearn.datasets.__file__).parent / "images"
    photos_dir.mkdir(parents=True)
    for name in ("china.jpg", "flower.jpg"):
        shutil.copyfile(source / name, photos_dir / name)

    small_dir.mkdir(parents=True)
    tensors_dir.mkdir(parents=True)
    chance = random.Random(0)
    photos = [Image.open(path).convert("RGB") for path in sorted(photos_dir.iterdir())]
    for index in range(SMALL_COUNT):
        photo = photos[index % len(photos)]
        side = chance.randint(SMALL_SIDE, min(photo.size))
        left = chance.randint(0, photo.width - side)
        top = chance.randint(0, photo.height - side)
        piece = photo.resize((SMALL_SIDE, SMALL_SIDE), box=(left, top, left + side, top + side))
        piece.save(small_dir / f"{index:02}.jpg", quality=90)
        (tensors_dir / f"{index:02}.tensor").write_bytes(np.asarray(piece)[:, :, ::-1].tobytes())


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
