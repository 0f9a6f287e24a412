"""What a picture's file declares of its numbers, read before they are decoded: Pillow takes some kinds for others, without a
word. Those are refused."""

from dataclasses import dataclass
from typing import IO, Any

from PIL import ImageFile
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

FULL = 2**16 - 1
GAMMA = 1 / 2.2  # of screens
MANY = 1000  # pages that are counted
SUBFILE, BITS, PHOTOMETRIC, FILL, SAMPLES, LARGEST, PLANAR, FORMAT = 254, 258, 262, 266, 277, 281, 284, 339  # TIFF's tags
KINDS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
BITS_READ = {(1,): (1, 2, 4, 8, 12, 16), (3,): (32,)}  # of whole numbers from 0, and of fractions
APART = {(1, 8, 1), (2, 8, 3)}  # kind, bits and samples of planes that lie one after another, where Pillow is right


@dataclass(frozen=True)
class Declared:
    """Of a picture; the first three matter for greys of more than 8 bits."""

    top: int = FULL  # what stands for full in the decoder's numbers
    narrower: bool = False  # than the 16 bits that these lie in
    white_is_zero: bool = False  # and Pillow does not see to it
    why_not: str = ""  # it is not read; '' where it is


def is_tiff(head: bytes) -> bool:
    return head.startswith(tuple(PREFIXES))


def of_tiff(file: IO[bytes]) -> Declared:
    """Any exception where the tags are damaged."""
    head = file.read(8)
    tags = ImageFileDirectory_v2(head + file.read(8) if 43 in head[2:4] else head)
    places = [tags.next]
    file.seek(tags.next)
    tags.load(file)
    kinds = tuple(sorted(set(tags.get(FORMAT, (1,)))))
    bits = max(tags.get(BITS, (1,)))
    if why := _why_no_tiff(tags, kinds, bits):
        return Declared(why_not=why)
    # A largest number of 4095 in 16 bits says 12 bits; another one may be the largest that occurs, which says nothing.
    largest = int(tags.get(LARGEST, (0,))[0])
    narrow = 8 < largest.bit_length() < bits and largest & (largest + 1) == 0
    top = 1 if kinds == (3,) else largest if narrow else 2**bits - 1
    white_is_zero = tags.get(PHOTOMETRIC) == 0 and bits > 8
    while tags.next and tags.next not in places and len(places) < MANY:
        places.append(tags.next)
        file.seek(tags.next)
        tags.load(file)
    return Declared(top, top < FULL, white_is_zero, _several(len(places)))


def _why_no_tiff(tags: Any, kinds: tuple[int, ...], bits: int) -> str:
    kind, samples = tags.get(PHOTOMETRIC), tags.get(SAMPLES, 1)
    if kind is None:
        return "a TIFF that does not say whether 0 is black or white (PhotometricInterpretation is missing)"
    if kind not in KINDS:
        return f"a TIFF of photometric interpretation {kind}; read are {', '.join(dict.fromkeys(KINDS.values()))}"
    if tags.get(SUBFILE, 0) & 1:
        return "a TIFF whose first page says that it is a smaller copy of another picture (NewSubfileType); save that one"
    if kinds not in BITS_READ:
        return "a TIFF of signed or complex numbers, where black and white are not known; save it with 8 or 16 bits from 0"
    if bits not in BITS_READ[kinds] or set(tags.get(BITS, (1,))) != {bits}:
        what = "whole numbers" if kinds == (1,) else "fractions"
        return f"a TIFF of {what} of {bits} bits; read are {', '.join(map(str, BITS_READ[kinds]))}; save it with 8 or 16"
    if tags.get(PLANAR, 1) == 2 and ((kind, bits, samples) not in APART or tags.get(FILL, 1) != 1):
        return f"a TIFF of {samples} samples of {bits} bits in planes (PlanarConfiguration 2); save it with them together"
    return ""


def _several(pages: int) -> str:
    return "" if pages == 1 else f"{pages} pages, of which any may be the print; save each as a file of its own"


def of_others(image: ImageFile.ImageFile, head: bytes) -> Declared:
    """Of a picture of another format, opened and not yet decoded. head: its file's first bytes."""
    if image.format != "MPO" and (why := _several(getattr(image, "n_frames", 1))):  # of an MPO viewers show the first
        return Declared(why_not=why)
    return OF_FORMAT[image.format](image, head) if image.format in OF_FORMAT else Declared()


def _ppm(image: ImageFile.ImageFile, head: bytes) -> Declared:
    if image.mode == "F":
        return Declared(1, narrower=True)
    _, _, _, arguments = image.tile[0]  # of the raw decoder a mode's name, which stands for 8 or 16 bits
    return Declared(narrower=isinstance(arguments, tuple) and arguments[-1] < FULL)


def _jpeg2000(image: ImageFile.ImageFile, head: bytes) -> Declared:
    start = head.find(b"\xff\x4f\xff\x51") + 40  # of the number of components in the codestream; a byte for each says its bits
    depths = head[start + 2 : start + 2 + 3 * int.from_bytes(head[start : start + 2], "big") : 3]
    if start < 40 or not depths or not all(8 <= depth + 1 <= 16 for depth in depths):
        return Declared(why_not="a JPEG 2000 of signed numbers, or not of 8 to 16 bits; save it as PNG or TIFF")
    return Declared(narrower=depths[0] + 1 < 16)


def _bmp(image: ImageFile.ImageFile, head: bytes) -> Declared:
    bits = head[28] if head[14] >= 40 else head[24]
    # Where Pillow finds a palette to be one of greys, it forgets how many bits a pixel has.
    if image.tile[0].codec_name == "raw" and bits != {"1": 1, "L": 8}.get(image.mode, bits):
        return Declared(why_not=f"a BMP of {bits} bits with a short palette, which its decoder gets wrong; save it as PNG")
    return Declared()


def _png(image: ImageFile.ImageFile, head: bytes) -> Declared:
    gamma = image.info.get("gamma", GAMMA)
    if abs(gamma - GAMMA) > 0.05 and not {"srgb", "icc_profile"} & set(image.info):
        return Declared(why_not=f"a PNG of gamma {gamma:g}, which viewers show differently; save it without")
    if image.mode == "RGB" and head[24] == 16 and "transparency" in image.info:
        return Declared(why_not="a PNG of 16-bit colours of which one is transparent; save it with an alpha channel")
    return Declared()


OF_FORMAT = {"PPM": _ppm, "JPEG2000": _jpeg2000, "BMP": _bmp, "PNG": _png}
