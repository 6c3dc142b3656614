"""The tables of doc/porting-from-node.md, and the code in their cells."""

from __future__ import annotations

import ast
import re
from typing import Any

from documents import Document

DOCUMENT = Document('doc/porting-from-node.md')


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables under a heading of the second level."""
    text = DOCUMENT.path.read_text(encoding='utf-8').partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    found = [
        line for line in text.splitlines() if line.startswith('| ') and not line.startswith(('| | ', '| JavaScript |'))
    ]
    return [[cell.strip() for cell in line.strip('|').split(' | ')] for line in found]


def code_in(cell: str) -> str:
    """The first code in a cell, which is all of it but for words around it."""
    return re.findall('`([^`]+)`', cell)[0]


def run_python(code: str, names: dict[str, Any]) -> Any:
    """The value of an expression; a statement has none."""
    try:
        compiled = compile(code, 'a cell', 'eval')
    except SyntaxError:
        exec(compile(ast.parse(code), 'a cell', 'exec'), names)
        return None
    return eval(compiled, names)
