"""GoogLeNet-v1 with random weights: the cost of the real one, other answers.

    make_googlenet.py OUT_DIR

The topology is the one of Szegedy et al. 2014 ("Going deeper with convolutions") as Caffe's
bvlc_googlenet has it for deployment, without the auxiliary classifiers. Means are subtracted
inside the graph, as the Open Model Zoo's converter does it. Two files of the same weights:

    googlenet-v1-random-weights           data [1,3,224,224] f32, BGR -> prob [1,1000]
    googlenet-v1-random-weights-u8-nhwc   data [1,224,224,3] u8, BGR  -> prob [1,1000]

Only operations of opset1 are used, so that OpenVINO 2022.3, the last with the MYRIAD plugin, can
load them too.
"""

import pathlib
import sys

import numpy as np
import openvino as ov
import openvino.opset1 as op

SEED = 2014
NAME = "googlenet-v1-random-weights"
BGR_MEANS = (104.0, 117.0, 123.0)

# Of the 1000 logits, over the classes. At 2, the best of 1000 classes gets some 0.1 to 0.8 of
# the probability: neither a flat softmax nor a one-hot one, so that a wrong pixel shows.
LOGIT_DEVIATION = 2.0

# 1x1, reduce 3x3, 3x3, reduce 5x5, 5x5, pool projection
INCEPTION_3 = [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)]
INCEPTION_4 = [
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
]
INCEPTION_5 = [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)]


class Builder:
    """Adds layers with random weights, and counts what they cost."""

    def __init__(self) -> None:
        self.random = np.random.Generator(np.random.PCG64(SEED))
        self.parameters = 0
        self.macs = 0

    def conv(self, x, channels: int, side: int, stride: int = 1):
        # He et al. 2015: this deviation keeps the activations' scale from layer to layer
        # under ReLU, so that they neither vanish nor explode.
        fan_in = x.get_output_shape(0)[1] * side * side
        shape = (channels, x.get_output_shape(0)[1], side, side)
        weights = self.normal(shape, np.sqrt(2.0 / fan_in))
        # Small, but not zero: a lost bias shall show.
        bias = self.normal((1, channels, 1, 1), 0.1)
        pad = side // 2
        x = op.convolution(x, weights, [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])
        height, width = x.get_output_shape(0)[2:]
        self.macs += channels * fan_in * height * width
        return op.relu(op.add(x, bias))

    def fully_connected(self, x, classes: int, weights, bias):
        self.macs += classes * x.get_output_shape(0)[1]
        self.parameters += weights.size + bias.size
        return op.add(op.matmul(x, op.constant(weights), False, True), op.constant(bias))

    def inception(self, x, sizes):
        one, reduce_three, three, reduce_five, five, projection = sizes
        return op.concat(
            [
                self.conv(x, one, 1),
                self.conv(self.conv(x, reduce_three, 1), three, 3),
                self.conv(self.conv(x, reduce_five, 1), five, 5),
                self.conv(max_pool(x, stride=1, pad=1), projection, 1),
            ],
            axis=1,
        )

    def normal(self, shape, deviation):
        self.parameters += int(np.prod(shape))
        return op.constant(self.draw(shape, deviation))

    def draw(self, shape, deviation):
        return (self.random.standard_normal(shape) * deviation).astype(np.float32)


def max_pool(x, stride: int = 2, pad: int = 0):
    # Caffe rounds up.
    return op.max_pool(x, [stride] * 2, [pad] * 2, [pad] * 2, [3, 3], "ceil")


def lrn(x):
    return op.lrn(x, op.constant(np.array([1], np.int64)), 1e-4, 0.75, 1.0, 5)


def features(builder: Builder, x):
    """From f32 NCHW pixels to the 1024 averages before the last layer."""
    x = op.subtract(x, op.constant(np.array(BGR_MEANS, np.float32).reshape(1, 3, 1, 1)))
    x = lrn(max_pool(builder.conv(x, 64, 7, stride=2)))
    x = max_pool(lrn(builder.conv(builder.conv(x, 64, 1), 192, 3)))
    for sizes in INCEPTION_3:
        x = builder.inception(x, sizes)
    x = max_pool(x)
    for sizes in INCEPTION_4:
        x = builder.inception(x, sizes)
    x = max_pool(x)
    for sizes in INCEPTION_5:
        x = builder.inception(x, sizes)
    x = op.avg_pool(x, [1, 1], [0, 0], [0, 0], [7, 7], False, "floor")
    return op.reshape(x, op.constant(np.array([1, 1024], np.int64)), False)


def last_layer(builder: Builder):
    """Weights and bias whose logits differ between images, by LOGIT_DEVIATION.

    Behind so many ReLUs the 1024 averages of any two images point almost the same way: plain
    random weights would give every image the same answer. So the bias takes off what is common to
    a few seeded test pictures, and the weights are scaled to what is left.
    """
    data = op.parameter([1, 3, 224, 224], np.float32)
    probe = ov.Core().compile_model(ov.Model([features(Builder(), data)], [data]), "CPU",
                                    {"INFERENCE_PRECISION_HINT": "f32"})
    random = np.random.Generator(np.random.PCG64(SEED + 1))
    seen = np.concatenate([probe([test_picture(random)])[0] for _ in range(16)])
    weights = builder.draw((1000, 1024), 1.0)
    spread = np.linalg.norm(seen - seen.mean(axis=0), axis=1).mean()
    weights *= np.float32(LOGIT_DEVIATION / spread)
    return weights, -(weights @ seen.mean(axis=0)).reshape(1, 1000).astype(np.float32)


def test_picture(random):
    """Coloured blobs of several sizes: the spectrum of a photo, roughly."""
    picture = np.zeros((1, 3, 224, 224))
    for side in (2, 7, 28, 112, 224):
        blobs = random.uniform(-1.0, 1.0, (1, 3, side, side))
        picture += blobs.repeat(224 // side, axis=2).repeat(224 // side, axis=3)
    return (picture * 40.0 + random.uniform(80.0, 170.0)).clip(0.0, 255.0).astype(np.float32)


def googlenet(last, u8_nhwc: bool):
    builder = Builder()
    if u8_nhwc:
        data = op.parameter([1, 224, 224, 3], np.uint8, name="data")
        order = op.constant(np.array([0, 3, 1, 2], np.int64))
        pixels = op.transpose(op.convert(data, "f32"), order)
    else:
        data = pixels = op.parameter([1, 3, 224, 224], np.float32, name="data")
    data.set_layout(ov.Layout("NHWC" if u8_nhwc else "NCHW"))
    logits = builder.fully_connected(features(builder, pixels), 1000, *last)
    prob = op.softmax(logits, 1)
    prob.set_friendly_name("prob")
    data.output(0).get_tensor().set_names({"data"})
    prob.output(0).get_tensor().set_names({"prob"})
    return ov.Model([prob], [data], NAME), builder


def main(out_dir: pathlib.Path) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    last = last_layer(Builder())
    for suffix, u8_nhwc in (("", False), ("-u8-nhwc", True)):
        model, cost = googlenet(last, u8_nhwc)
        ov.save_model(model, out_dir / f"{NAME}{suffix}.xml", compress_to_fp16=False)
    print(f"{cost.parameters / 1e6:.2f} M parameters, {cost.macs / 1e9:.2f} G multiply-adds")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
