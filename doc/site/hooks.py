"""What MkDocs is to know of the repository.

Documents link to each other by their paths in the repository, and to files that are not in doc/. So each file has that path
as its name here, too, and all links work as they stand; only where it lands in the site is said below.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent.parent

PAGES = ('doc/*.md', '*.md', 'examples/**/*.md', 'bench/*.md')
#: Which documents link to, or show.
OTHERS = ('doc/*.svg', 'doc/site/*.css', 'examples/**/*', 'Makefile', 'LICENSE')
PICTURES = {'.svg', '.png', '.webp', '.css'}
SOURCES = {'.py', '.js', '.html', '.css', '.cfg', ''}


def on_config(config: MkDocsConfig) -> None:
    version = re.search(r"^__version__ = '(.+)'$", (ROOT / 'ws' / '__init__.py').read_text(), re.MULTILINE)
    assert version is not None
    if 'MIKE_DOCS_VERSION' in os.environ:
        config.extra['version'] = {'provider': 'mike'}  # a selector beside the name, if there are several
    else:
        config.site_name += f' {version[1]}'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    theirs = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*theirs, *(_file(path, config) for path in _paths(PAGES)), *_others(config)])


def _paths(patterns: tuple[str, ...]) -> list[str]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def _others(config: MkDocsConfig) -> list[File]:
    kinds = PICTURES | SOURCES
    return [_file(path, config) for path in _paths(OTHERS) if PurePosixPath(path).suffix in kinds]


def _file(path: str, config: MkDocsConfig) -> File:
    return File(path, str(ROOT), config.site_dir, config.use_directory_urls, dest_uri=_place(PurePosixPath(path)))


def _place(path: PurePosixPath) -> str:
    """Where a file of the repository lands in the site."""
    if path.suffix == '.md':
        return str(_page(path) / 'index.html')
    if path.suffix in PICTURES:
        return str(path)
    return f'{path}.txt'  # to be read in the browser, not run or downloaded


def _page(path: PurePosixPath) -> PurePosixPath:
    if path == PurePosixPath('README.md'):
        return PurePosixPath('overview')
    folder = path.parent.relative_to('doc') if path.parts[0] == 'doc' else path.parent
    return folder if path.stem in ('index', 'README') else folder / path.stem.lower()
