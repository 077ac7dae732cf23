"""A small classifier that really learned something: handwritten digits.

    make_digits.py OUT_DIR

Trains on one half of the 1,797 digits that scikit-learn ships, and writes to OUT_DIR:

    digits.xml, .bin     [1,1,8,8] f32, pixel values 0 to 240 -> probabilities [1,10]
    0000.png ...         all 1,797 images, 8x8, grey
    labels.txt           the ten classes' names
    truth.csv            index,label: what was really written
    expected.csv         index,label,score: what OpenVINO's Python API answers on the CPU
"""

import csv
import pathlib
import sys

import numpy as np
import openvino as ov
import openvino.opset1 as op
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

# scikit-learn's pixel values go from 0 to 16. As bytes they shall use the range, and stay exact.
PNG_SCALE = 15
TOP_PIXEL = 16 * PNG_SCALE


def main(out_dir: pathlib.Path) -> None:
    digits = load_digits()
    images = (digits.images * PNG_SCALE).astype(np.uint8)
    out_dir.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(out_dir / f"{index:04}.png")
    (out_dir / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    write_csv(out_dir / "truth.csv", ["index", "label"], enumerate(digits.target))

    model_file = out_dir / "digits.xml"
    ov.save_model(as_ir(trained(images, digits.target)), model_file, compress_to_fp16=False)

    # The engine's own hint. Where the CPU computes in bfloat16, another hint rounds otherwise, and
    # the label of a digit on the edge is another one.
    network = ov.Core().compile_model(model_file, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    scores = [network([image.astype(np.float32).reshape(1, 1, 8, 8)])[0][0] for image in images]
    labels = [int(np.argmax(score)) for score in scores]
    rows = ((i, label, f"{scores[i][label]:.7f}") for i, label in enumerate(labels))
    write_csv(out_dir / "expected.csv", ["index", "label", "score"], rows)
    print(f"accuracy {np.mean(labels == digits.target):.4f} over all {len(labels)}")


def trained(images, target) -> MLPClassifier:
    classifier = MLPClassifier(hidden_layer_sizes=(64, 32), max_iter=400, random_state=0)
    half = len(images) // 2
    return classifier.fit(images[:half].reshape(half, 64) / TOP_PIXEL, target[:half])


def as_ir(classifier: MLPClassifier) -> ov.Model:
    data = op.parameter([1, 1, 8, 8], np.float32, name="data")
    x = op.multiply(data, op.constant(np.float32(1.0 / TOP_PIXEL)))
    x = op.reshape(x, op.constant(np.array([1, 64], np.int64)), False)
    last = len(classifier.coefs_) - 1
    for layer, (weights, bias) in enumerate(zip(classifier.coefs_, classifier.intercepts_)):
        x = op.matmul(x, op.constant(weights.astype(np.float32)), False, False)
        x = op.add(x, op.constant(bias.astype(np.float32).reshape(1, -1)))
        if layer < last:
            x = op.relu(x)
    prob = op.softmax(x, 1)
    prob.set_friendly_name("prob")
    data.output(0).get_tensor().set_names({"data"})
    prob.output(0).get_tensor().set_names({"prob"})
    data.set_layout(ov.Layout("NCHW"))
    return ov.Model([prob], [data], "digits")


def write_csv(file: pathlib.Path, header, rows) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
