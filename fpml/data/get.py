"""Public datasets that can be had without an account: their terms shown, agreed to, fetched and checked. For the others,
what to do by hand."""

import hashlib
import io
import shutil
import sys
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fpml.base.errors import FpmlError
from fpml.base.files import new_folder

LARGEST = 2**30  # bytes of one download, and of what it unpacks to


@dataclass(frozen=True)
class File:
    """What is fetched. digest: MD5 of the file as its publishers give it; for an archive, SHA-256 over its pictures' names
    and SHA-256 (`digest_of`)."""

    url: str
    digest: str
    folder: str = ""  # archives are unpacked below it


@dataclass(frozen=True)
class Public:
    terms: str
    files: tuple[File, ...]
    add: str  # arguments of `fpml data add` after name and folder


def _idx(base: str, digests: tuple[str, str, str, str]) -> tuple[File, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(File(f"{base}/{part}-ubyte.gz", digest) for part, digest in zip(parts, digests, strict=True))


FVC2002_B = {
    "DB1": "72e33933face82f9a5b82a14a0b48206e6b1f192d5be58acbd08b3d40b77e1b2",
    "DB2": "e240ab6ee2f9844b6bd103f5fc7944a66f7d4295a53215f5c93ba57e0cbaca0a",
    "DB3": "b19776b7a84124129eeb8112e5e8a083163615360da0646b4babddb1c41206cf",
    "DB4": "a26e52ce1a408553ec8014c374469721ff7b9f0f0873ec2e06f443af7e35e264",
}
PUBLIC = {
    "mnist": Public(
        "MNIST, handwritten digits by Y. LeCun, C. Cortes and C. Burges; free to use (CC BY-SA 3.0).",
        _idx(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
             "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        "--reader idx",
    ),
    "fashion-mnist": Public(
        "Fashion-MNIST, pictures of clothes by Zalando SE; MIT licence.",
        _idx(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
             "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        "--reader idx",
    ),
    "fvc2002-b": Public(
        "FVC2002, set B: prints of forty fingers, by the University of Bologna, San José State and Michigan State University. "
        "Its makers offer it for research and state no licence: biometric data of people; use it for research only, and "
        "don't pass it on.",
        tuple(
            File(f"http://bias.csr.unibo.it/fvc2002/Downloads/{db}_B.zip", digest, f"{db}_B")
            for db, digest in FVC2002_B.items()
        ),
        "--reader fvc",
    ),
}  # fmt: skip
BY_HAND = {
    "socofing": "SOCOFing needs an account where it is published (search for 'Sokoto Coventry Fingerprint Dataset', arXiv "
    "1807.10609; research only). Unpack it, then: fpml data add socofing SOCOFing --reader socofing --dpi 180",
    "polyu": "PolyU HRF is given on request by the Hong Kong Polytechnic University's Biometrics Research Centre: fill in its "
    "form. Unpack it, then: fpml data add polyu FOLDER --reader polyu",
    "fvc2002": "FVC2002's sets A come with the book 'Handbook of Fingerprint Recognition' (Maltoni et al.) on its disc; set B: "
    "fpml data get fvc2002-b. Then: fpml data add fvc2002 FOLDER --reader fvc",
}


def get(name: str, out: Path, agreed: bool, ask: Callable[[str], str] = input) -> None:
    """Fetch a public dataset into a new folder. FpmlError for one that must be had by hand (saying how), terms that were
    not agreed to, a download that fails, and files that are not those that were published."""
    if name in BY_HAND:
        raise FpmlError(BY_HAND[name])
    if name not in PUBLIC:
        raise FpmlError(f"no dataset '{name}'; there are: {', '.join([*PUBLIC, *BY_HAND])}")
    if out.exists():
        raise FpmlError(f"{out} is there already; name a new folder with --out, or remove it")
    public = PUBLIC[name]
    print(public.terms)
    if not agreed:
        try:
            answer = ask("Do you agree? (yes/no) ")
        except EOFError:
            raise FpmlError("nobody was there to agree to the terms; with --yes you agree to them") from None
        if answer.strip().lower() not in ("y", "yes"):
            raise FpmlError("the terms were not agreed to; nothing was fetched")
    with new_folder(out) as folder:
        for file in public.files:
            print(f"fetching {file.url} ...", file=sys.stderr)
            content = _fetch(file.url)
            if file.folder:
                _unpack(content, file, folder / file.folder)
                continue
            if hashlib.md5(content).hexdigest() != file.digest:
                raise FpmlError(f"{file.url} is not the file that was published (its MD5 differs); nothing was kept")
            (folder / file.url.rpartition("/")[2]).write_bytes(content)
    print(f"{name} is in {out}. Next: fpml data add {name} {out} {public.add}")


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read(LARGEST + 1)
    except OSError as error:
        raise FpmlError(f"{url} can't be fetched ({error}); try again later, or fetch it by hand") from None
    if len(content) > LARGEST:
        raise FpmlError(f"{url} is larger than {LARGEST} bytes, which it should not be; nothing was kept")
    return content


def _unpack(content: bytes, file: File, folder: Path) -> None:
    """The pictures of an archive, by their bare names: whatever folders it names, nothing leaves `folder`."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise FpmlError(f"{file.url} unpacks to more than {LARGEST} bytes; nothing was kept")
            for member in archive.infolist():
                name = PurePosixPath(member.filename.replace("\\", "/")).name
                if member.is_dir() or not name.lower().endswith((".tif", ".bmp", ".png")):
                    continue
                with archive.open(member) as source, (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, FileExistsError, EOFError, RuntimeError) as error:
        raise FpmlError(f"{file.url} is not an archive of pictures ({error}); nothing was kept") from None
    if digest_of(folder) != file.digest:
        raise FpmlError(f"{file.url} does not hold the pictures that were published (SHA-256 differs); nothing was kept")


def digest_of(folder: Path) -> str:
    """SHA-256 over the sorted names of a folder's files, each with its own SHA-256."""
    lines = [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}\n" for p in sorted(folder.iterdir())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
