"""MkDocs' hook: adds the generated pages to the site while it is built, so that they can't go stale."""

import os
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
os.environ["COLUMNS"] = "100"  # argparse breaks its usage lines by the terminal's width

import reference


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in reference.pages().items():
        files.append(File.generated(config, path, content=text))
    return files
