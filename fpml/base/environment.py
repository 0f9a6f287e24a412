"""What libraries read when they start, put right before any of them is imported: proxies, a home, a name, the terminal."""

import ctypes
import getpass
import io
import os
import platform
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import quote, urlsplit

from fpml.base.files import root, state_folder

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = [f(f"{of}_proxy") for of in ("http", "https", "all") for f in (str.lower, str.upper)]
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
KEPT = {  # where libraries keep what they make, by the variable that says so
    "PREFECT_HOME": "~/.prefect",
    "XDG_CACHE_HOME": "~/.cache",  # torch's hub, fonts
    "MPLCONFIGDIR": "~/.config/matplotlib",
    "DVC_SITE_CACHE_DIR": "/var/tmp/dvc/repo",
}


def heed_signals() -> None:
    """Have SIGINT and SIGTERM interrupt this process, and with it all that it starts by exec: a shell starts what it runs in
    the background with SIGINT ignored, which children inherit."""
    for number in INTERRUPTS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold the first SIGINT or SIGTERM back until the block has ended; a second one goes through at once.

    For a database's transactions: one that is interrupted in its middle leaves the database locked, also for what would end
    in good order. Signals come to the main thread alone; elsewhere nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in INTERRUPTS if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    came: list[int] = []

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold_back(number: int, frame: FrameType | None) -> None:
        came.append(number)
        put_back()

    try:
        for number in before:
            signal.signal(number, hold_back)
        yield
    finally:
        put_back()
        if came:
            signal.raise_signal(came[0])


def make_ready() -> None:
    """Loopback past every proxy, folders that can be written to, a name for the user, a terminal that takes every character
    and threads that wait without spinning: for this process and all that it starts."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # torch's OpenMP threads spin while they wait for each other, which beside other programs costs most of the speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _loopback_past_proxies()
    _a_name()
    _a_home()


TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt(3)


def keep_memory() -> None:
    """Have this process keep what its main thread's tensors leave, for the next ones: glibc gives large blocks back at once,
    and the kernel clears every page of them anew, which took a fifth of the time of training the published `repair`. Elsewhere
    than in glibc nothing is done."""
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, -1)  # never


def _loopback_past_proxies() -> None:
    names = ("no_proxy", "NO_PROXY")  # some libraries read the one, some the other
    known = [host.strip() for name in names for host in os.environ.get(name, "").split(",") if host.strip()]
    # A '*' is understood only where it stands alone.
    hosts = "*" if "*" in known else ",".join(dict.fromkeys([*known, *LOOPBACK]))
    os.environ.update(dict.fromkeys(names, hosts))


def sqlite_uri(driver: str, file: Path) -> str:
    """SQLAlchemy's address of a file. It ends a path at the first '?'; then SQLite is given an address of its own, quoted."""
    return f"{driver}:///file:{quote(os.fsencode(file))}?uri=true" if "?" in str(file) else f"{driver}:///{file}"


AWAY = (407, 502, 503, 504)  # a proxy's or gateway's answers, where nobody behind it gives one


def through_proxy(url: str) -> str:
    """' through the proxy …' where a request to this address goes through one, named without its password; else ''."""
    from urllib.request import getproxies, proxy_bypass

    address = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or not address.hostname or proxy_bypass(address.hostname):
        return ""
    return f" through the proxy {proxy.rpartition('@')[2]}"


def _a_name() -> None:
    """A container's user may be a number that has no name, on which DVC and torch end."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = name = str(os.getuid())
        print(f"home: user {name} has no name; LOGNAME={name} is taken (for dvc by hand, set it yourself)", file=sys.stderr)


def _a_home() -> None:
    """In a project, its own folder takes what libraries would keep in a home that is missing or can't be written to."""
    home = os.path.expanduser("~")
    found = os.path.isabs(home)  # else the user has none
    moved: dict[str, str] = {}  # the variable, and what it can't stay at
    if not found or not (os.path.isdir(home) or _can_write(Path(home))):
        moved["HOME"] = home if found else "HOME"  # nothing of the user's is in it, so all may go elsewhere
    else:
        os.environ.setdefault("HOME", home)
    for name, usual in KEPT.items():
        place = os.environ.get(name) or usual
        if not ("HOME" in moved and place.startswith("~")) and not _can_write(Path(os.path.expanduser(place))):
            moved[name] = os.path.expanduser(place)
    if not moved or not (root() / "params.yaml").exists():
        return
    own = state_folder().resolve() / "home"
    try:
        for name in moved:
            folder = own if name == "HOME" else own / name.lower()
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(folder)
    except OSError:
        return  # nor can the project be written to, which is another finding
    print(f"home: {', '.join(moved.values())}: missing, or can't be written to; {own} is used", file=sys.stderr)


def _can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest one above it that is there. Tried: root may do all, yet not
    everywhere."""
    nearest = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError:
        return False
    return True
