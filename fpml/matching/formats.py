"""Templates as files: JSON of our own, ISO/IEC 19794-2:2005 records (.fmr), and NIST's .xyt, which bozorth3 takes."""

import base64
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.base.files import new_file
from fpml.matching.template import DPI, Template, from_table
from fpml.matching.texture import NUMBERS

JSON_FORMAT = "fpml-minutiae-1"
ENDINGS = (".json", ".fmr", ".ist", ".dat", ".xyt")  # of files that are read as templates
LARGEST_FILE = 1_000_000  # bytes; a template has some thousands
LARGEST_SIDE = 10_000  # pixels at 500 dpi, of a picture
MOST = 255  # minutiae that a record holds
HEADER = struct.Struct(">4s4sIHHHHHBB")  # magic, version, length, device, width, height, pixels a cm (x, y), views, reserved
VIEW = struct.Struct(">BBBB")  # finger, view and impression type, quality, minutiae
MINUTIA = struct.Struct(">HHBB")  # type and x, y, angle, quality
ANGLES = 256  # units of a full turn
CENTIMETRE = 1 / 2.54  # inches


def is_template(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def read(path: Path) -> Template:
    """A template file, by its ending. FpmlError for one that is missing, cut short or not of its format."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FpmlError(f"{path} has {path.stat().st_size:,} bytes; a template has at most {LARGEST_FILE:,}")
        content = path.read_bytes()
    except OSError as error:
        raise FpmlError(f"{path} can't be read: {error.strerror}") from None
    try:
        if path.suffix.lower() == ".json":
            return from_json(content.decode("utf-8"))
        if path.suffix.lower() == ".xyt":
            return from_xyt(content.decode("ascii"))
        return from_iso(content)
    except UnicodeDecodeError:
        raise FpmlError(f"{path} is no text, which a template of this ending is") from None
    except FpmlError as error:
        raise FpmlError(f"{path}: {error}") from None


def write(template: Template, path: Path) -> None:
    """Write a template in the format of the path's ending: .json, .fmr or .xyt."""
    if path.suffix == ".json":
        content = to_json(template).encode()
    elif path.suffix == ".xyt":
        content = to_xyt(template).encode()
    elif path.suffix == ".fmr":
        content = to_iso(template)
    else:
        raise FpmlError(f"{path}: templates are written as .json, .fmr or .xyt")
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def to_json(template: Template) -> str:
    """Places in pixels at 500 dpi, y down; angles in degrees as ISO/IEC 19794-2 has them; textures in base64."""
    minutiae = [
        {
            "x": round(float(x), 2), "y": round(float(y), 2), "angle": round(float(np.rad2deg(a)) % 360, 2),
            "ending": round(float(e), 3), "quality": round(float(q), 3),
        }
        for x, y, a, e, q in template.table()
    ]  # fmt: skip
    record = {
        "format": JSON_FORMAT, "dpi": DPI, "width": template.width, "height": template.height, "finger": template.finger,
        "print_quality": round(template.print_quality, 3), "minutiae": minutiae,
    }  # fmt: skip
    if template.texture is not None:
        content = base64.b64encode(np.ascontiguousarray(template.texture).tobytes()).decode("ascii")
        record |= {"texture": content, "texture_of": template.texture_of}
    return json.dumps(record, indent=1) + "\n"


def from_json(text: str) -> Template:
    try:
        record: dict[str, Any] = json.loads(text)
        if record["format"] != JSON_FORMAT:
            raise FpmlError(f"its format is '{record['format']}'; allowed: {JSON_FORMAT}")
        rows = [(m["x"], m["y"], m["angle"] % 360, m["ending"], m["quality"]) for m in record["minutiae"]]
        scale = DPI / float(record["dpi"])
        table = np.array(rows, float).reshape(-1, 5) * [scale, scale, np.pi / 180, 1, 1]
        whole = from_table(table, round(record["width"] * scale), round(record["height"] * scale))
        found = replace(whole, finger=int(record["finger"]), print_quality=float(record["print_quality"]))
        if len(found) and "texture" in record:
            texture = np.frombuffer(base64.b64decode(record["texture"], validate=True), np.int8).reshape(len(found), NUMBERS)
            found = replace(found, texture=texture, texture_of=str(record["texture_of"]))
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise FpmlError(f"not a template in JSON as fpml minutiae writes it ({type(error).__name__}: {error})") from None
    return _inside(found)


def to_iso(template: Template) -> bytes:
    """An ISO/IEC 19794-2:2005 record of one view; the surest MOST minutiae, places rounded to pixels at 500 dpi."""
    rows = template.table()[np.argsort(-template.quality, kind="stable")[:MOST]]
    resolution = round(DPI * CENTIMETRE)
    body = [VIEW.pack(template.finger, 0, round(100 * template.print_quality), len(rows))]
    for x, y, angle, ending, quality in rows:
        kind = 1 if ending >= 0.5 else 2
        turn = round(float(angle) * ANGLES / (2 * np.pi)) % ANGLES
        at = [int(np.clip(round(float(v)), 0, 0x3FFF)) for v in (x, y)]
        body.append(MINUTIA.pack(kind << 14 | at[0], at[1], turn, int(np.clip(round(100 * float(quality)), 1, 100))))
    body.append(struct.pack(">H", 0))  # no extended data
    content = b"".join(body)
    head = HEADER.pack(
        b"FMR\0", b" 20\0", HEADER.size + len(content), 0, template.width, template.height, resolution, resolution, 1, 0
    )
    return head + content


def from_iso(content: bytes) -> Template:
    """The first view of an ISO/IEC 19794-2:2005 record, its places brought to 500 dpi."""
    if content[:4] != b"FMR\0":
        raise FpmlError("not an ISO/IEC 19794-2 record: it does not begin with FMR")
    if content[4:8] != b" 20\0":
        raise FpmlError(f"an ISO/IEC 19794-2 record of version {content[4:7].decode('latin-1').strip()}; read is ' 20' of 2005")
    if len(content) < HEADER.size + VIEW.size:
        raise FpmlError(f"cut short: {len(content)} bytes")
    _, _, length, _, width, height, across, down, views, _ = HEADER.unpack_from(content)
    if views < 1:
        raise FpmlError("an ISO/IEC 19794-2 record without a finger")
    if not (20 <= across <= 2000 and 20 <= down <= 2000):
        raise FpmlError(f"its resolution is {across} x {down} pixels a centimetre; allowed: 20 to 2000")
    finger, _, quality, count = VIEW.unpack_from(content, HEADER.size)
    end = HEADER.size + VIEW.size + count * MINUTIA.size
    if len(content) < end or length < end:
        raise FpmlError(f"cut short: it says {count} minutiae, and its {min(len(content), length)} bytes hold fewer")
    rows = []
    for number in range(count):
        kind_x, y, turn, sure = MINUTIA.unpack_from(content, HEADER.size + VIEW.size + number * MINUTIA.size)
        # a quality of 0 means that none was given
        ending = {1: 1.0, 2: 0.0}.get(kind_x >> 14, 0.5)
        rows.append((kind_x & 0x3FFF, y & 0x3FFF, turn * 2 * np.pi / ANGLES, ending, sure / 100 if 0 < sure <= 100 else 1.0))
    table = np.array(rows, np.float32).reshape(-1, 5)
    scale = [DPI * CENTIMETRE / v if v != round(DPI * CENTIMETRE) else 1.0 for v in (across, down)]
    found = Template(
        table[:, 0] * scale[0], table[:, 1] * scale[1], table[:, 2], table[:, 3], table[:, 4],
        round(width * scale[0]), round(height * scale[1]), finger, min(quality, 100) / 100,
    )  # fmt: skip
    return _inside(found)


def to_xyt(template: Template) -> str:
    """A line a minutia, surest first: x, y from the lower left, angle in whole degrees, quality in 0..100."""
    rows = template.table()[np.argsort(-template.quality, kind="stable")]
    lines = [
        f"{round(float(x))} {template.height - 1 - round(float(y))} {round(float(np.rad2deg(a))) % 360} {round(100 * float(q))}"
        for x, y, a, _, q in rows
    ]
    return "".join(line + "\n" for line in lines)


def from_xyt(text: str) -> Template:
    """The file says neither dpi nor size: 500 dpi, and a picture as large as its minutiae reach."""
    try:
        rows = np.array([[float(v) for v in line.split()[:4]] for line in text.splitlines() if line.strip()]).reshape(-1, 4)
    except ValueError:
        raise FpmlError("not an .xyt file: lines of x, y, degrees and quality, in whole numbers") from None
    height = int(rows[:, 1].max()) + 1 if len(rows) else 1
    width = int(rows[:, 0].max()) + 1 if len(rows) else 1
    x, y, degrees, quality = rows.T
    table = [x, height - 1 - y, np.deg2rad(degrees), np.full(len(rows), 0.5), quality.clip(0, 100) / 100]
    return _inside(from_table(np.stack(table, 1), width, height))


def _inside(template: Template) -> Template:
    """The template, if its picture can be one, its minutiae lie in it, and what it says of them is in range."""
    if not (1 <= template.width <= LARGEST_SIDE and 1 <= template.height <= LARGEST_SIDE):
        raise FpmlError(
            f"its picture has {template.width} x {template.height} pixels at {DPI} dpi; allowed: 1 to {LARGEST_SIDE} a side"
        )
    shares = np.concatenate([template.ending, template.quality, [template.print_quality]])
    if not (0 <= template.finger <= 10 and (shares >= 0).all() and (shares <= 1).all()):
        raise FpmlError("its finger is from 0 to 10, and endings and qualities from 0 to 1; one of these is not")
    out = (template.x < -1) | (template.y < -1) | (template.x > template.width) | (template.y > template.height)
    if out.any():
        where = int(np.flatnonzero(out)[0])
        raise FpmlError(
            f"{int(out.sum())} of its {len(template)} minutiae lie outside its picture of {template.width} x "
            f"{template.height} pixels, the first at {template.x[where]:.0f}, {template.y[where]:.0f}"
        )
    return template
