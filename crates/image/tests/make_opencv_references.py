#!/usr/bin/env python3
"""Writes images in every format the engine reads, with the pixels OpenCV reads from them.

    make_opencv_references.py <photos dir with china.jpg, flower.jpg> <output dir>

For each case: the encoded file, `<name>.bgr` and `<name>.grey` (what imread gives, rows of bytes),
and for photos `<name>.<w>x<h>.area` and `.linear` (those pixels through cv2.resize). `index.json`
lists them for tests/opencv_pixels.rs. Needs opencv-python-headless, numpy and pillow; pillow writes
what OpenCV cannot (CMYK, EXIF, palettes).
"""

import io
import json
import pathlib
import sys

import cv2
import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def pillow(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def opencv(extension, pixels, *options):
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done, extension
    return data.tobytes()


def rgb_to_ycc(rgb):
    r, g, b = (rgb[..., i].astype(np.float64) for i in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128


def cmyk_of(rgb):
    """Ink as pillow counts it (255 = all), with some of it moved to black."""
    inks = 255 - rgb.astype(np.int32)
    black = inks.min(axis=2) // 2
    rest = 255 - (255 - inks) * 255 // np.maximum(255 - black, 1)[..., None]
    return np.dstack([np.clip(rest, 0, 255), black]).astype(np.uint8)


def ycck(cmyk):
    """A CMYK JPEG whose inks are stored as YCbCr: pillow writes the planes, the Adobe segment is
    patched to say so (transform 2)."""
    # Adobe stores the absence of ink; libjpeg computes stored C = 255 - R, and so on.
    y, cb, cr = rgb_to_ycc(cmyk[..., :3])
    stored = np.dstack([y, cb, cr, 255 - cmyk[..., 3].astype(np.float64)])
    planes = np.clip(np.rint(stored), 0, 255).astype(np.uint8)
    # Pillow inverts what it writes.
    data = bytearray(pillow(Image.fromarray(255 - planes, "CMYK"), "JPEG", quality=95, subsampling=0))
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2
    return bytes(data)


def cases(photos):
    china = photos / "china.jpg"
    flower = photos / "flower.jpg"
    bgr = cv2.imread(str(china))
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    # Odd sides: the last blocks of a JPEG are partial, chroma has half a pixel more.
    odd_bgr = np.ascontiguousarray(bgr[20:271, 30:363])
    odd_rgb = np.ascontiguousarray(odd_bgr[:, :, ::-1])
    small = Image.fromarray(np.ascontiguousarray(rgb[100:190, 200:320]))
    alpha = np.linspace(0, 255, odd_rgb.size // 3).reshape(odd_rgb.shape[:2]).astype(np.uint8)
    rgba = np.dstack([odd_rgb, alpha])
    deep = odd_bgr.astype(np.uint16) * 251 + np.arange(odd_bgr.size).reshape(odd_bgr.shape) % 251
    deep = deep.astype(np.uint16)

    yield "jpeg-china", "jpg", "jpeg", china.read_bytes()
    yield "jpeg-flower", "jpg", "jpeg", flower.read_bytes()
    yield "jpeg-progressive", "jpg", "jpeg", opencv(".jpg", bgr, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    yield "jpeg-odd-sides", "jpg", "jpeg", opencv(".jpg", odd_bgr)
    for name, subsampling in [("444", 0), ("422", 1)]:
        data = pillow(Image.fromarray(odd_rgb), "JPEG", subsampling=subsampling)
        yield f"jpeg-{name}", "jpg", "jpeg", data
    yield "jpeg-grey", "jpg", "jpeg", pillow(Image.fromarray(rgb).convert("L"), "JPEG")
    cmyk = cmyk_of(rgb)
    yield "jpeg-cmyk", "jpg", "cmyk", pillow(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=95)
    yield "jpeg-ycck", "jpg", "cmyk", ycck(cmyk)
    for turn in range(1, 9):
        yield f"jpeg-exif-{turn}", "jpg", "jpeg", pillow(small, "JPEG", exif=exif(turn))
    large = cv2.resize(bgr, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    yield "jpeg-12-megapixels", "jpg", "large", opencv(".jpg", large)

    yield "png-rgb", "png", "lossless", opencv(".png", bgr)
    yield "png-alpha", "png", "lossless", pillow(Image.fromarray(rgba), "PNG")
    yield "png-16-bit", "png", "lossless", opencv(".png", deep)
    yield "png-16-bit-grey", "png", "lossless", opencv(".png", np.ascontiguousarray(deep[..., 1]))
    yield "png-grey", "png", "lossless", pillow(Image.fromarray(odd_rgb).convert("L"), "PNG")
    palette = Image.fromarray(odd_rgb).quantize(64)
    yield "png-palette", "png", "lossless", pillow(palette, "PNG")
    yield "png-palette-transparent", "png", "lossless", pillow(palette, "PNG", transparency=3)
    yield "png-exif-6", "png", "lossless", pillow(small, "PNG", exif=exif(6))

    yield "bmp-24", "bmp", "lossless", opencv(".bmp", odd_bgr)
    yield "bmp-palette", "bmp", "lossless", pillow(palette, "BMP")
    yield "bmp-grey", "bmp", "lossless", pillow(Image.fromarray(odd_rgb).convert("L"), "BMP")

    yield "webp-lossless", "webp", "lossless", pillow(Image.fromarray(odd_rgb), "WEBP", lossless=True)
    yield "webp-alpha", "webp", "lossless", pillow(
        Image.fromarray(rgba), "WEBP", lossless=True, exact=True
    )
    yield "webp-lossy", "webp", "webp", opencv(".webp", bgr, cv2.IMWRITE_WEBP_QUALITY, 85)
    yield "webp-exif-6", "webp", "webp", pillow(small, "WEBP", quality=90, exif=exif(6))


def main(photos, output):
    output.mkdir(parents=True, exist_ok=True)
    index = []
    for name, extension, kind, data in cases(photos):
        path = output / f"{name}.{extension}"
        path.write_bytes(data)
        color = cv2.imread(str(path), cv2.IMREAD_COLOR)
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        height, width = color.shape[:2]
        if kind != "large":
            (output / f"{name}.bgr").write_bytes(color.tobytes())
            (output / f"{name}.grey").write_bytes(grey.tobytes())
        # Shrinking on both sides, on one, and enlarging.
        sizes = [(224, 224)]
        if name in ["jpeg-china", "jpeg-flower"]:
            sizes += [(800, 300), (1000, 900)]
        resized = []
        for w, h in sizes:
            entry = {"width": w, "height": h}
            for method, flag in [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)]:
                entry[method] = f"{name}.{w}x{h}.{method}"
                pixels = cv2.resize(color, (w, h), interpolation=flag)
                (output / entry[method]).write_bytes(pixels.tobytes())
            resized.append(entry)
        index.append(
            {
                "name": name,
                "file": path.name,
                "kind": kind,
                "width": width,
                "height": height,
                "resized": resized,
            }
        )
    text = json.dumps({"opencv": cv2.__version__, "cases": index}, indent=1)
    (output / "index.json").write_text(text + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
