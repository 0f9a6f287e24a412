"""What the names of folders tell of a dataset."""

import re
from pathlib import Path

from fpml.data.pictures import PICTURES
from fpml.data.walk import find_files


def told(path: Path, name: str, expression: re.Pattern[str]) -> set[str]:
    """What the expression's group finds in the names nearest to the pictures of a folder that becomes the dataset `name`.

    Of each picture the nearest folder below counts, else the folder's own name or the dataset's; never one above, which is the
    user's. '' stands for pictures whose names tell nothing."""
    own = f"{path.resolve().name if path.name in ('', '..') else path.name} {name}"
    files = find_files(path, may_be_empty=True) if path.is_dir() else []
    folders = {file.parent.parts for file in files if file.suffix.lower() in PICTURES} or {()}
    found: set[str] = set()
    for parts in folders:
        found |= next((set(here) for n in (*reversed(parts), own) if (here := expression.findall(n))), {""})
    return found
