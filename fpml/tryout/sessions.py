"""What the page keeps of its visitors, in memory alone: dropped when the page closes, and when it is idle for long."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fpml.base.errors import FpmlError
from fpml.inference.gallery import Gallery
from fpml.tryout.pictures import Picture

SLOTS = {
    "first": "the first print", "second": "the second print", "enrol": "the print to enrol", "probe": "the print to look up",
    "repair": "the print to repair", "inside": "the print to look inside",
}  # fmt: skip
IDLE = 30 * 60  # seconds without a request, after which a page is forgotten even if it never said that it closed
MOST = 16  # pages at once; the one that was used longest ago makes room
ROOM = 512 * 2**20  # bytes of all their pictures; the same


class Forgotten(FpmlError):
    """A page that closed, was idle for long, or made room for others."""


@dataclass
class Session:
    """One open page."""

    used: float  # seconds of the clock
    pictures: dict[str, Picture] = field(default_factory=dict)  # by slot
    galleries: dict[str, Gallery] = field(default_factory=dict)  # by model

    def picture(self, slot: str) -> Picture:
        """FpmlError where none was chosen."""
        if slot not in self.pictures:
            raise FpmlError(f"{SLOTS[slot]} is missing; choose, drop or paste a picture, or take an example")
        return self.pictures[slot]

    @property
    def size(self) -> int:
        return sum(p.grey.nbytes for p in self.pictures.values())


class Sessions:
    """All open pages, by a token that each alone knows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}  # the one used longest ago first

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, token: str) -> bool:
        return token in self._open

    def open(self) -> str:
        token = secrets.token_urlsafe(24)
        self._open[token] = Session(self._clock())
        self.make_room()
        return token

    def get(self, token: str) -> Session:
        """The page of a token. Forgotten where there is none."""
        self.forget_the_idle()
        if token not in self._open:
            raise Forgotten(f"this page is forgotten: it was closed, or idle for {IDLE // 60} minutes; load it again")
        session = self._open[token] = self._open.pop(token)
        session.used = self._clock()
        return session

    def close(self, token: str) -> None:
        self._open.pop(token, None)

    def forget_the_idle(self) -> None:
        for token, session in list(self._open.items()):
            if self._clock() - session.used > IDLE:
                del self._open[token]

    def make_room(self) -> None:
        """To be called when something was added."""
        while len(self._open) > 1 and (len(self._open) > MOST or sum(s.size for s in self._open.values()) > ROOM):
            del self._open[next(iter(self._open))]
