#!/usr/bin/env python3
"""Writes the scores that OpenVINO's own Python API gives.

    make_score_references.py <models dir> <photos dir with china.jpg, flower.jpg> <output dir>

Each photo is stretched to the model's size and saved as PNG, which is lossless, so that both sides
start from the same pixels. `index.json` lists the models and, for each photo, the raw f32 scores;
tests/python_scores.rs reads it. Needs openvino, opencv-python-headless and numpy.
"""

import json
import pathlib
import sys

import cv2
import numpy as np
import openvino as ov

MODELS = ["googlenet-v1-random-weights", "googlenet-v1-random-weights-u8-nhwc"]
PHOTOS = ["china", "flower"]


def main(models, photos, output):
    output.mkdir(parents=True, exist_ok=True)
    core = ov.Core()
    index = []
    for name in MODELS:
        # The engine asks a CPU for the same.
        compiled = core.compile_model(
            str(models / f"{name}.xml"), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}
        )
        port = compiled.input(0)
        nhwc = port.shape[3] == 3
        height, width = (port.shape[1], port.shape[2]) if nhwc else (port.shape[2], port.shape[3])
        for photo in PHOTOS:
            pixels = cv2.imread(str(photos / f"{photo}.jpg"))
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
            image = f"{photo}-{width}x{height}.png"
            cv2.imwrite(str(output / image), pixels)
            tensor = pixels if nhwc else pixels.transpose(2, 0, 1)
            tensor = np.ascontiguousarray(tensor[None]).astype(port.element_type.to_dtype())
            scores = np.ascontiguousarray(compiled(tensor)[0], dtype=np.float32).reshape(-1)
            file = f"{name}.{photo}.f32"
            (output / file).write_bytes(scores.tobytes())
            index.append({"model": f"{name}.xml", "image": image, "scores": file})
    text = json.dumps({"openvino": ov.get_version(), "cases": index}, indent=1)
    (output / "index.json").write_text(text + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*(pathlib.Path(argument) for argument in sys.argv[1:]))
