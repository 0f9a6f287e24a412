"""An extension of Griffe, which reads the docstrings for the site: a field's comment is its description, as in
`dpi: float  # of both`, since this project's dataclasses describe their fields so."""

import ast
import re
from typing import Any

import griffe


class Comments(griffe.Extension):
    def on_attribute_instance(self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **_: Any) -> None:
        if attr.docstring is None and attr.lineno and isinstance(node, ast.AST):
            behind = re.search(r"  # (.+)$", attr.lines_collection[attr.filepath][attr.lineno - 1])
            attr.docstring = griffe.Docstring(behind[1], parent=attr) if behind else None
