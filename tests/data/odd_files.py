"""Picture files that no library here writes, byte by byte from the formats' own descriptions."""

import struct
import zlib
from typing import Any

import numpy as np

KINDS = {3: "H", 4: "I"}


def _packed(values: np.ndarray, bits: int, order: str) -> bytes:
    """Rows of numbers, the highest bit first, each row to a whole byte."""
    if bits >= 8 and bits % 8 == 0 and values.dtype.kind != "f":
        return values.astype(f"{order}i{bits // 8}" if values.min() < 0 else f"{order}u{bits // 8}").tobytes()
    if values.dtype.kind == "f":
        return values.astype(f"{order}f{bits // 8}").tobytes()
    ones = values.reshape(len(values), -1)[..., None] >> np.arange(bits)[::-1] & 1
    return b"".join(np.packbits(row.astype(np.uint8)).tobytes() for row in ones.reshape(len(values), -1))


def _page(values: np.ndarray, bits: int, photometric: int | None, order: str, zipped: bool, tags: Any, at: int) -> list[bytes]:
    """Pixels and directory of one page that begins at a byte of the file."""
    samples = 1 if values.ndim == 2 else values.shape[2]
    pixels = _packed(values, bits, order)
    pixels = zlib.compress(pixels) if zipped else pixels
    pixels += b"\0" * (len(pixels) % 2)
    entries = {
        256: (4, [values.shape[1]]), 257: (4, [values.shape[0]]), 258: (3, [bits] * samples), 259: (3, [8 if zipped else 1]),
        262: (3, [photometric]), 273: (4, [at]), 277: (3, [samples]), 278: (4, [values.shape[0]]), 279: (4, [len(pixels)]),
        **(tags or {}),
    }  # fmt: skip
    if photometric is None:
        del entries[262]
    far_at = at + len(pixels) + 2 + 12 * len(entries) + 4
    directory, far = struct.pack(f"{order}H", len(entries)), b""
    for tag, (kind, given) in sorted(entries.items()):
        content = struct.pack(f"{order}{len(given)}{KINDS[kind]}", *given)
        if len(content) > 4:
            content, far = struct.pack(f"{order}I", far_at + len(far)), far + content
        directory += struct.pack(f"{order}HHI", tag, kind, len(given)) + content.ljust(4, b"\0")
    return [pixels, directory, far]


def tiff(
    values: np.ndarray,
    bits: int,
    photometric: int | None = 1,
    order: str = "<",
    zipped: bool = False,
    tags: dict[int, tuple[int, list[int]]] | None = None,
    pages: int = 1,
) -> bytes:
    """A TIFF of numbers (H, W) or (H, W, samples). tags: more of them, as tag: (type, values)."""
    head, body, at = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 42), b"", 8
    link = head
    out = b""
    for _ in range(pages):
        pixels, directory, far = _page(values, bits, photometric, order, zipped, tags, at)
        out += link + struct.pack(f"{order}I", at + len(pixels)) + body
        body, link = far, pixels + directory
        at += len(pixels) + len(directory) + 4 + len(far)
    return out + link + struct.pack(f"{order}I", 0) + body


def png(values: np.ndarray, bits: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of numbers (H, W) or (H, W, samples), of a colour type (0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + _packed(row[None], bits, ">") for row in values)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bmp(values: np.ndarray, bits: int, palette: bytes = b"", masks: tuple[int, ...] = ()) -> bytes:
    """A BMP of numbers (H, W), or (H, W, 4) as blue, green, red and alpha. masks: where those are in 32 bits."""
    each = bits // (values.shape[2] if values.ndim == 3 else 1)
    rows = b"".join(row + b"\0" * (-len(row) % 4) for row in (_packed(r[None], each, "<") for r in values[::-1]))
    header = struct.pack(
        "<IiiHHIIiiII", 108 if masks else 40, values.shape[1], values.shape[0], 1, bits, 3 if masks else 0, len(rows), 0, 0,
        len(palette) // 4, 0,
    )  # fmt: skip
    header += struct.pack("<4I", *masks).ljust(68, b"\0") if masks else b""
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows
