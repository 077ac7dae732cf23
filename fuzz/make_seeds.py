#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/, beside this script.

    make_seeds.py <photos dir with china.jpg>

By hand, when seeds change: `.runtime/venv/bin/python fuzz/make_seeds.py .runtime/photos`. Names that
begin with `refused-` are of inputs that are no job, no result, or no image; the tests hold all of
them to that. Needs opencv-python-headless, numpy and pillow.
"""

import io
import json
import pathlib
import struct
import sys
import zlib

import cv2
import numpy as np
from PIL import Image

CORPUS = pathlib.Path(__file__).parent / "corpus"


# Jobs: bincode 2, standard configuration.


def varint(number):
    for marker, form, limit in [(b"", "<B", 251), (b"\xfb", "<H", 2**16), (b"\xfc", "<I", 2**32)]:
        if number < limit:
            return marker + struct.pack(form, number)
    return b"\xfd" + struct.pack("<Q", number)


def blob(data):
    return varint(len(data)) + data


def job_body(kind, data):
    return kind + blob(data)


IMAGE, TENSOR = b"\0", b"\1"
JPEG, PNG, BMP, WEBP = b"\0", b"\1", b"\2", b"\3"


def job_bodies():
    yield "image-jpeg", job_body(IMAGE + JPEG, b"\xff\xd8\xff\xe0")
    yield "image-png", job_body(IMAGE + PNG, b"\x89PNG\r\n\x1a\n")
    yield "image-bmp", job_body(IMAGE + BMP, b"BM")
    yield "image-webp", job_body(IMAGE + WEBP, b"RIFF\4\0\0\0WEBP")
    yield "tensor", job_body(TENSOR, bytes(12))
    yield "tensor-16-bit-length", job_body(TENSOR, bytes(range(256)))
    yield "tensor-length-longer-than-needed", TENSOR + b"\xfd" + struct.pack("<Q", 2) + b"ab"
    yield "refused-empty", b""
    yield "refused-empty-image", job_body(IMAGE + JPEG, b"")
    yield "refused-unknown-content", job_body(b"\2", b"x")
    yield "refused-unknown-image-type", job_body(IMAGE + b"\4", b"x")
    yield "refused-left-over", job_body(TENSOR, b"x") + b"y"
    yield "refused-truncated", job_body(TENSOR, b"xyz")[:-1]
    yield "refused-length-of-2-to-62", TENSOR + varint(2**62) + b"x"
    yield "refused-length-of-16-mib", TENSOR + varint(2**24) + b"x"
    yield "refused-128-bit-length", TENSOR + b"\xfe" + bytes(16)


# Messages: as properties/job_message.rs reads them; its lists, in its order.

CONTENT_TYPES = [
    "application/x-bincode",
    "image/jpeg",
    "image/png",
    "image/bmp",
    "image/webp",
    "application/octet-stream",
    "Image/JPG; charset=binary",
    "application/json",
    "text/plain",
]
KINDS = ["ncs.job.v1", "ncs.job.v2", "ncs.result.v1"]
TEXTS = ["7", "", "0192f3a1-7d5c-7e6b-9a00-5b6f1f2e3d4c"]
HEADERS = ["ncs-accept", "ncs-top-k", "ncs-submitted-at-us", "x-delivery-count"]
HEADER_TEXTS = ["application/x-bincode", "application/json", "5", "-1", "1700000000123456"]


def text(value, likely):
    if value is None:
        return b"\0"
    if value in likely:
        return bytes([likely.index(value) + 1])
    encoded = value.encode()
    return bytes([255, len(encoded)]) + encoded


def header(name, value):
    if isinstance(value, int):
        return text(name, HEADERS) + b"\0" + struct.pack("<q", value)
    return text(name, HEADERS) + text(value, HEADER_TEXTS)


def message(content_type, body, kind=None, id="7", reference=None, reply=None, headers=()):
    expiration = None
    properties = text(content_type, CONTENT_TYPES) + text(kind, KINDS)
    for value in [id, reference, reply, expiration]:
        properties += text(value, TEXTS)
    headers = [header(name, value) for name, value in dict(headers).items()]
    return properties + bytes([len(headers)]) + b"".join(headers) + body


def job_messages():
    bincode, job = CONTENT_TYPES[0], KINDS[0]
    body = job_body(IMAGE + PNG, b"\x89PNG")
    everything = {
        "ncs-accept": "application/json",
        "ncs-top-k": 5,
        "ncs-submitted-at-us": 1_700_000_000_123_456,
        "x-delivery-count": 2,
    }
    as_text = {"ncs-top-k": "5", "ncs-submitted-at-us": "1700000000123456", "x-delivery-count": "-1"}
    yield "bincode", message(bincode, body, job)
    yield "bincode-everything", message(bincode, body, job, "8", "order 9", "my-results", everything)
    yield "bincode-tensor", message(bincode, job_body(TENSOR, b"abc"), job)
    yield "id-of-128-bytes", message(bincode, body, job, "i" * 128)
    yield "id-from-correlation-id", message(bincode, body, job, None, "order 9")
    for content_type in CONTENT_TYPES[1:7]:
        name = content_type.split("/")[1].lower().split(";")[0]
        yield f"bare-{name}", message(content_type, b"abc")
    yield "bare-headers-as-text", message("image/jpeg", b"abc", headers=as_text)
    yield "bare-accepts-bincode", message("image/jpeg", b"abc", headers={"ncs-accept": bincode})
    yield "bare-top-k-huge", message("image/jpeg", b"abc", headers={"ncs-top-k": 2**63 - 1})
    yield "bare-top-k-negative", message("image/jpeg", b"abc", headers={"ncs-top-k": -(2**63)})
    yield "refused-no-id", message("image/jpeg", b"abc", id=None)
    yield "refused-empty-id", message("image/jpeg", b"abc", id="")
    yield "refused-id-of-129-bytes", message("image/jpeg", b"abc", id="i" * 129)
    yield "refused-no-body", message("image/jpeg", b"")
    yield "refused-no-content-type", message(None, b"abc")
    yield "refused-text", message("text/plain", b"abc")
    yield "refused-control-characters", message("te\nxt/\x1b[31m", b"abc")
    yield "refused-wide-content-type", message("\U0001f9ea" * 60, b"abc")
    yield "refused-next-version", message(bincode, body, "ncs.job.v2")
    yield "refused-kind-with-control-characters", message(bincode, body, "ncs\r\nx: y")
    yield "refused-no-kind", message(bincode, body)


# Results.

CODES = [
    "malformed_job",
    "unsupported_version",
    "unsupported_content_type",
    "too_large",
    "undecodable_image",
    "image_too_large",
    "wrong_tensor_size",
    "internal",
    "expired",
    "delivery_limit",
]


def optional(value, encoded):
    return b"\0" if value is None else b"\1" + encoded(value)


def bincode_classes(*classes):
    encoded = b"".join(
        varint(index) + optional(label, lambda label: blob(label.encode())) + struct.pack("<f", score)
        for index, label, score in classes
    )
    return b"\0" + varint(len(classes)) + encoded


def bincode_failure(code, reason):
    return b"\1" + varint(code) + blob(reason.encode())


def bincode_result(outcome, queue_us=1200):
    who = b"".join(blob(text.encode()) for text in ["7", "pi-1/4711", "pi-1", "googlenet-v1"])
    times = optional(queue_us, varint) + varint(3) + varint(310) + varint(42_900)
    return who + outcome + varint(1) + times


def json_result(outcome, **others):
    times = {"queue_us": 1200, "wait_us": 3, "decode_us": 310, "infer_us": 42900}
    result = {"job_id": "7", "worker": "pi-1/4711", "host": "pi-1", "model": "googlenet-v1"}
    result |= {"outcome": outcome, "attempt": 1, "times": times} | others
    return json.dumps(result, separators=(",", ":")).encode()


def json_class(score, label="tabby"):
    return {"classes": [{"index": 281, "label": label, "score": score}]}


def results():
    classes = bincode_classes((281, "tabby, tabby cat", 0.5), (7, None, 1e-42), (70_000, "", -0.0))
    whole = bincode_result(classes)
    yield "bincode-classes", whole
    yield "bincode-no-classes", bincode_result(bincode_classes())
    yield "bincode-no-submission", bincode_result(bincode_classes(), None)
    for number, code in enumerate(CODES):
        yield f"bincode-{code}", bincode_result(bincode_failure(number, "why"))
    yield "json-classes", json_result(json_class(0.5))
    yield "json-no-label", json_result(json_class(0.1, None))
    yield "json-unicode", json_result(json_class(0.1, "\u00fc\U0001f9ea\0\n\""))
    for name, score in [("largest", 3.4028235e38), ("smallest", 1e-45), ("minus-zero", -0.0)]:
        yield f"json-{name}-score", json_result(json_class(score))
    yield "json-whole-score", json_result(json_class(16_777_217))
    for code in CODES[4:6]:
        yield f"json-{code}", json_result({"error": {"code": code, "message": "why"}})
    yield "json-later-field", json_result(json_class(0.5), stick="MYRIAD.5.1-ma2480")
    yield "json-deep-later-field", json_result(json_class(0.5), x=[[[[{"y": [None, True, 1.5]}]]]])
    yield "refused-empty", b""
    yield "refused-bincode-truncated", whole[:-1]
    yield "refused-bincode-unknown-code", bincode_result(bincode_failure(len(CODES), "why"))
    yield "refused-bincode-classes-of-2-to-40", bincode_result(b"\0" + varint(2**40))
    yield "refused-bincode-no-utf-8", whole.replace(b"pi-1/", b"pi-\xff/")
    for name, score in [("nan", float("nan")), ("infinite", float("inf"))]:
        yield f"refused-bincode-{name}-score", bincode_result(bincode_classes((1, None, score)))
        yield f"refused-json-{name}-score", json_result(json_class(score))
    yield "refused-json-null-score", json_result(json_class(None))
    yield "refused-json-score-over-f32", json_result(json_class(1e40))
    yield "refused-json-truncated", json_result(json_class(0.5))[:-1]
    yield "refused-json-lone-surrogate", json_result(json_class(0.5, "S")).replace(b'"S"', b'"\\ud800"')
    yield "refused-json-long-outcome", json_result({"o" * 1000: []})
    yield "refused-json-long-code", json_result({"error": {"code": "c" * 1000, "message": ""}})
    yield "refused-json-control-characters", json_result({"\x1b[31m\n": []})
    yield "refused-json-nested", b"[" * 300


# Images. Those of the tensor's size are not resized.

TENSOR_SIZE = (16, 12)

def pillow(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def opencv(extension, pixels, *options):
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done, extension
    return data.tobytes()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def one_code(table, value):
    """A Huffman table whose only code, a 0, stands for `value`."""
    return segment(0xC4, bytes([table, 1]) + bytes(15) + bytes([value]))


def grey_frame(marker, precision, width, height):
    return segment(marker, struct.pack(">BHHB", precision, height, width, 1) + b"\1\x11\0")


def scan(first, last):
    return segment(0xDA, bytes([1, 1, 0, first, last, 0]))


def jpeg_by_hand(marker, precision, body, width=8, height=8):
    quantization = segment(0xDB, b"\0" + b"\1" * 64)
    frame = grey_frame(marker, precision, width, height)
    tables = one_code(0x00, 0) + one_code(0x10, 0)
    return b"\xff\xd8" + quantization + frame + tables + body + b"\xff\xd9"


def lossless_rgb(width, height):
    """All of one colour; component ids that spell RGB tell libjpeg-turbo so."""
    ids = [ord(letter) for letter in "RGB"]
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"".join(bytes([id, 0x11, 0]) for id in ids)
    scan = b"\3" + b"".join(bytes([id, 0]) for id in ids) + bytes([1, 0, 0])
    picture = bytes(width * height * 3 // 8)
    segments = segment(0xC3, frame) + one_code(0x00, 0) + segment(0xDA, scan)
    return b"\xff\xd8" + segments + picture + b"\xff\xd9"


def jpeg_of_scans(count, marker=0xC2):
    return jpeg_by_hand(marker, 8, scan(0, 0) + b"\x7f" + (scan(1, 63) + b"\x7f") * (count - 1))


def announcing(jpeg, width, height):
    frame = min(at for at in (jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) if at >= 0)
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


def ycck(image):
    """Inks stored as YCbCr: the Adobe segment is patched to say so (transform 2)."""
    data = bytearray(pillow(image.convert("CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def jpegs(photo):
    small = photo.resize((12, 8))
    exact = pillow(photo.resize(TENSOR_SIZE), "JPEG")
    progressive = pillow(photo, "JPEG", progressive=True)
    yield "grey-128", pillow(Image.new("L", (16, 8), 128), "JPEG")
    yield "exact-size", exact
    yield "odd-sides", pillow(photo, "JPEG")
    yield "large", pillow(photo.resize((400, 300)), "JPEG", quality=10)
    yield "progressive", progressive
    yield "444", pillow(photo, "JPEG", subsampling=0)
    yield "422", pillow(photo, "JPEG", subsampling=1)
    yield "grey", pillow(photo.convert("L"), "JPEG")
    yield "restart-markers", pillow(photo, "JPEG", restart_marker_blocks=1)
    yield "optimized", pillow(photo, "JPEG", optimize=True)
    yield "icc", pillow(small, "JPEG", icc_profile=b"not a profile")
    yield "cmyk", pillow(photo.convert("CMYK"), "JPEG")
    yield "cmyk-progressive", pillow(photo.convert("CMYK"), "JPEG", progressive=True)
    yield "ycck", ycck(photo)
    yield "lossless-grey", jpeg_by_hand(0xC3, 8, scan(1, 0) + bytes(8))
    yield "lossless-rgb", lossless_rgb(8, 8)
    yield "lossless-rgb-exact-size", lossless_rgb(*TENSOR_SIZE)
    yield "one-pixel", pillow(photo.resize((1, 1)), "JPEG")
    yield "64-scans", jpeg_of_scans(64)
    yield "arithmetic", jpeg_by_hand(0xC9, 8, scan(0, 63) + b"\x55" * 40)
    yield "arithmetic-16-scans", jpeg_of_scans(16, 0xCA)
    yield "refused-arithmetic-17-scans", jpeg_of_scans(17, 0xCA)
    yield "followed-by-more", exact + b"what a camera adds"
    for turn in range(1, 9):
        yield f"exif-{turn}", pillow(small, "JPEG", exif=exif(turn))
    yield "exif-broken", pillow(small, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    yield "refused-65-scans", jpeg_of_scans(65)
    yield "refused-65535-sides", announcing(exact, 65535, 65535)
    yield "refused-no-sides", announcing(exact, 0, 12)
    yield "refused-12-bit", jpeg_by_hand(0xC1, 12, scan(0, 63) + b"\x3f")
    yield "refused-tables-only", b"\xff\xd8" + one_code(0, 0) + b"\xff\xd9"
    yield "refused-truncated", exact[: len(exact) * 9 // 10]
    yield "refused-progressive-truncated", progressive[: len(progressive) * 2 // 3]
    yield "refused-no-end", exact[:-2]
    yield "refused-stray-restart-marker", exact[:-40] + b"\xff\xd3" + exact[-38:]


def png_by_hand(width, height, depth, color, passes, interlaced=0, chunks=b""):
    """`passes` are the rows of bytes, each with its filter in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    data = png_chunk(b"IDAT", zlib.compress(b"".join(passes)))
    end = png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + chunks + data + end


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced_png():
    """8 × 8 grey pixels in the seven passes of Adam7."""
    # Width and rows of each pass; the filters that look left and up are 0 to 4.
    counts = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    rows = [(width, row) for width, rows in counts for row in range(rows)]
    passes = [bytes([row % 5]) + bytes(range(row, row + width)) for width, row in rows]
    return png_by_hand(8, 8, 8, 0, passes, interlaced=1)


def pngs(photo):
    bgr = np.asarray(photo)[:, :, ::-1]
    deep = bgr.astype(np.uint16) * 251
    alpha = np.dstack([np.asarray(photo), np.asarray(photo.convert("L"))])
    deep_alpha = np.dstack([deep, deep[:, :, 0]])
    small = photo.resize((12, 8))
    rgb = pillow(small, "PNG")
    yield "rgb", pillow(photo, "PNG")
    yield "alpha", pillow(Image.fromarray(alpha), "PNG")
    yield "grey", pillow(photo.convert("L"), "PNG")
    yield "grey-alpha", pillow(photo.convert("LA"), "PNG")
    yield "1-bit", pillow(photo.convert("1"), "PNG")
    yield "2-bit-grey", png_by_hand(5, 2, 2, 0, [b"\0\x1b\xc0", b"\1\xe4\x40"])
    yield "4-bit-grey", png_by_hand(3, 2, 4, 0, [b"\0\x12\x30", b"\2\x11\x10"])
    for bits in [1, 2, 4, 8]:
        yield f"palette-{bits}-bit", pillow(small.quantize(2**bits), "PNG", bits=bits)
    yield "palette-transparent", pillow(small.quantize(16), "PNG", transparency=3)
    yield "grey-transparent", png_by_hand(
        2, 1, 8, 0, [b"\0\x10\x20"], chunks=png_chunk(b"tRNS", b"\0\x10")
    )
    yield "16-bit", opencv(".png", deep[:8, :12])
    yield "16-bit-grey", opencv(".png", np.ascontiguousarray(deep[:8, :12, 1]))
    yield "16-bit-alpha", opencv(".png", np.ascontiguousarray(deep_alpha[:8, :12]))
    yield "interlaced", interlaced_png()
    yield "exif-6", pillow(small, "PNG", exif=exif(6))
    # Larger than a small picture's profile may be, so it is left out.
    yield "profile-of-12-mib", pillow(small, "PNG", icc_profile=bytes(12 << 20))
    yield "animated", pillow(small, "PNG", save_all=True, append_images=[small.rotate(180)])
    yield "refused-crc", rgb[:-16] + bytes([rgb[-16] ^ 1]) + rgb[-15:]
    yield "refused-truncated", rgb[: len(rgb) // 2]
    yield "refused-65535-sides", png_by_hand(65535, 65535, 8, 2, [b"\0"])
    yield "refused-bad-palette-index", png_by_hand(
        2, 1, 8, 3, [b"\0\x01\x09"], chunks=png_chunk(b"PLTE", bytes(6))
    )[:-20]
    yield "refused-unknown-color", png_by_hand(1, 1, 8, 5, [b"\0\0"])
    yield "refused-too-few-rows", png_by_hand(2, 9, 8, 0, [b"\0\0\0"])


def bmp(width, height, bits, pixels, compression=0, palette=b"", header=40, masks=b""):
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    info += masks + bytes(header - 40 - len(masks) if header > 40 else 0)
    return bmp_file(info + palette, pixels)


def bmp_file(info, pixels):
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + pixels


def bmps(photo):
    small = photo.resize((12, 8))
    grey_4 = b"".join(bytes([level * 17] * 3 + [0]) for level in range(16))
    grey_8 = b"".join(bytes([level] * 3 + [0]) for level in range(256))
    whole = pillow(small, "BMP")
    # Runs, a literal of three (padded), a move of the pen, the end of the line, the end.
    rle8 = b"\4\7\0\3\1\2\3\0\0\0\0\2\2\0\3\x80\0\1"
    rle4 = b"\5\x12\0\3\x12\x30\0\0\0\2\2\0\3\x56\0\1"
    yield "24-bit", whole
    yield "24-bit-top-down", bmp(3, -2, 24, bytes(range(24)))
    yield "32-bit", pillow(small.convert("RGBA"), "BMP")
    yield "1-bit", pillow(small.convert("1"), "BMP")
    yield "4-bit", bmp(3, 2, 4, b"\x12\x30\0\0\x45\x60\0\0", palette=grey_4)
    yield "8-bit", bmp(3, 2, 8, b"\1\2\3\0\4\5\6\0", palette=grey_8)
    yield "rle8", bmp(8, 3, 8, rle8, 1, grey_8)
    yield "rle4", bmp(8, 3, 4, rle4, 2, grey_4)
    yield "16-bit-555", bmp(2, 2, 16, b"\x1f\0\xe0\3\0\x7c\xff\x7f")
    masks_565 = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "16-bit-565", bmp(2, 2, 16, b"\x1f\0\xe0\7\0\xf8\xff\xff", 3, masks_565)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "32-bit-v4", bmp(1, 2, 32, b"\1\2\3\xff\4\5\6\x80", 3, header=108, masks=masks)
    yield "32-bit-v5", bmp(1, 2, 32, b"\1\2\3\xff\4\5\6\x80", 3, header=124, masks=masks)
    yield "os2", bmp_file(struct.pack("<IHHHH", 12, 2, 2, 1, 24), bytes(range(16)))
    yield "refused-truncated", whole[:-30]
    yield "refused-60000-sides", bmp(60_000, 60_000, 24, bytes(64))
    yield "refused-negative-width", bmp(-2, 2, 24, bytes(16))
    yield "refused-overflowing-masks", bmp(2, 2, 16, bytes(8), 3, b"\xff" * 12)
    yield "refused-rle8-truncated", bmp(8, 3, 8, rle8[:4], 1, grey_8)


def riff(*chunks):
    data = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(data)) + data


def with_lossy_sides(webp, width, height):
    """The same, but for what the header of its first lossy picture announces."""
    sides = webp.index(b"\x9d\x01\x2a") + 3
    return webp[:sides] + struct.pack("<HH", width, height) + webp[sides + 4 :]


def webps(photo):
    small = photo.resize((12, 8))
    alpha = Image.fromarray(np.dstack([np.asarray(small), np.asarray(small.convert("L"))]))
    frames = {"save_all": True, "append_images": [small.rotate(180)], "duration": 40}
    lossy = pillow(photo, "WEBP", quality=60)
    lossless = pillow(small, "WEBP", lossless=True)
    lossy_alpha = pillow(alpha, "WEBP", quality=60)
    frames_alpha = frames | {"append_images": [alpha.rotate(180)]}
    animated_alpha = pillow(alpha, "WEBP", quality=60, **frames_alpha)
    yield "lossy", lossy
    yield "lossy-exact-size", pillow(photo.resize(TENSOR_SIZE), "WEBP", quality=90)
    yield "lossy-alpha", lossy_alpha
    yield "lossless", lossless
    yield "lossless-alpha", pillow(alpha, "WEBP", lossless=True, exact=True)
    yield "lossless-few-colors", pillow(small.quantize(3).convert("RGB"), "WEBP", lossless=True)
    yield "animated-lossless", pillow(small, "WEBP", lossless=True, **frames)
    yield "animated-lossy", pillow(small, "WEBP", quality=60, **frames)
    yield "animated-lossy-alpha", animated_alpha
    yield "exif-6", pillow(small, "WEBP", quality=60, exif=exif(6))
    yield "refused-truncated", lossy[: len(lossy) * 2 // 3]
    yield "refused-lossless-truncated", lossless[: len(lossless) * 2 // 3]
    yield "refused-lossy-larger-than-canvas", with_lossy_sides(lossy_alpha, 16383, 16383)
    yield "refused-lossy-larger-than-frame", with_lossy_sides(animated_alpha, 16, 12)
    yield "refused-no-picture", riff((b"VP8X", bytes(4) + b"\x0b\0\0\7\0\0"))
    yield "refused-16384-sides", riff((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(8)))


def images(photos):
    photo = Image.open(photos / "china.jpg").resize((33, 25))
    # Without what the file says beside its pixels.
    photo = Image.fromarray(np.asarray(photo))
    for extension, made in [("jpg", jpegs), ("png", pngs), ("bmp", bmps), ("webp", webps)]:
        form = {"jpg": "jpeg"}.get(extension, extension)
        for name, data in made(photo):
            refused = "refused-" if name.startswith("refused-") else ""
            yield f"{refused}{form}-{name.removeprefix('refused-')}.{extension}", data
    yield "refused-empty", b""
    yield "refused-gif.gif", pillow(photo.resize((2, 2)), "GIF")
    yield "refused-text.txt", b"no image at all"


def main(photos):
    seeds = {
        "job_body": job_bodies(),
        "job_message": job_messages(),
        "result": results(),
        "image": images(photos),
    }
    for target, inputs in seeds.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, data in inputs:
            assert not (folder / name).exists(), name
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
