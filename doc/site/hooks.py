"""What MkDocs is to know of the repository.

Documents link to each other by their paths in the repository, and to files that are not in doc/. So each file has that
path as its name here, too, and all links work as they stand; only where it lands in the site is said below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent

PAGES = ('doc/*.md', '*.md', 'examples/**/*.md', 'bench/*.md')
STYLE = 'doc/site/site.css'
#: What browsers show as it is. All else is to be read in the browser, not run or downloaded.
PICTURES = {'.svg', '.png', '.webp', '.css'}

_links = re.compile(r'\]\(([^)\s:#]+)|\bsrc(?:set)?="([^"\s:]+)"').findall
_link = re.compile(r'\[([^\]]+)\]\(([^)\s:#]+)(?:#[^)\s]*)?\)')


def on_config(config: MkDocsConfig) -> None:
    version = re.search(r"^__version__ = '(.+)'$", (ROOT / 'ws' / '__init__.py').read_text(), re.MULTILINE)
    assert version is not None
    if 'MIKE_DOCS_VERSION' in os.environ:
        config.extra['version'] = {'provider': 'mike'}  # a selector beside the name
    else:
        config.site_name += f' {version[1]}'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    themes = [file for file in files if file.src_dir != config.docs_dir]
    pages = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
    others = sorted({ROOT / STYLE, *(path for page in pages for path in _linked(page))})
    return Files([*themes, *(_file(path, config) for path in [*pages, *others])])


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links say the titles of pages, not the names of their files. A link to a folder is just its text."""
    folder = (ROOT / page.file.src_uri).parent
    titles = dict(_titles(config.nav))

    def shown(link: re.Match[str]) -> str:
        text, target = link[1], (folder / link[2]).resolve()
        if target.is_dir():
            return text
        title = titles.get(target.relative_to(ROOT).as_posix(), text)
        return f'[{title}{link[0][1 + len(text) :]}' if text.endswith('.md') else link[0]

    return _link.sub(shown, markdown)


def _titles(navigation: Any) -> Iterator[tuple[str, str]]:
    """The pages of a part of the navigation, with their titles there."""
    for entry in navigation:
        for title, content in entry.items() if isinstance(entry, dict) else ():
            if isinstance(content, str):
                yield content, title
            else:
                yield from _titles(content)


def _linked(page: Path) -> list[Path]:
    """The files, other than pages, that it shows or links to."""
    links = [path or source for path, source in _links(page.read_text(encoding='utf-8'))]
    paths = [(page.parent / link).resolve() for link in links]
    return [path for path in paths if path.is_file() and path.suffix != '.md' and path.is_relative_to(ROOT)]


def _file(path: Path, config: MkDocsConfig) -> File:
    name = path.relative_to(ROOT).as_posix()
    place = _place(PurePosixPath(name)).lstrip('.')
    return File(
        name,
        str(ROOT),
        config.site_dir,
        config.use_directory_urls,
        dest_uri=place,
        inclusion=InclusionLevel.INCLUDED,  # also what begins with a dot
    )


def _place(path: PurePosixPath) -> str:
    """Where a file of the repository lands in the site."""
    if path.suffix == '.md':
        return str(_folder(path) / 'index.html')
    return str(path) if path.suffix in PICTURES else f'{path}.txt'


def _folder(page: PurePosixPath) -> PurePosixPath:
    if page == PurePosixPath('README.md'):
        return PurePosixPath('overview')
    if len(page.parts) == 1:
        return PurePosixPath('project', page.stem.lower())
    folder = page.parent.relative_to('doc') if page.parts[0] == 'doc' else page.parent
    return folder if page.stem in ('index', 'README') else folder / page.stem
