from fpml.tasks.minutiae.settings import Minutiae
from fpml.tasks.protocol import Album, Findings, Trained


def evaluate(trained: Trained[Minutiae], album: Album) -> Findings:
    raise NotImplementedError
