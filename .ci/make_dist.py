"""make_dist.py FOLDER: makes the sdist there and, from it, the wheel for every platform; checks both.

Each is built twice, in other folders, and must be the same byte for byte: who builds a release anew, from the same
sources and with the same tools, can compare. SOURCE_DATE_EPOCH is the date in them, by default that of the commit.
Needs what the extra `dist` has.
"""

from __future__ import annotations

import email
import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from readme_renderer import markdown

ROOT = Path(__file__).resolve().parent.parent
#: What setuptools adds to the sources.
MADE = re.compile(r'PKG-INFO|setup\.cfg|\w+\.egg-info/.*')


def main(folder: Path) -> None:
    os.environ.setdefault('SOURCE_DATE_EPOCH', epoch())
    os.environ['CFLAGS'] = '-g0'  # what debuggers need has the names of folders in it
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        made, again = (make_all(Path(place)) for place in (first, second))
        for path, other in zip(made, again):
            if path.name != other.name or path.read_bytes() != other.read_bytes():
                sys.exit(f'built twice, {path.name} is not the same')
        sdist, pure, _native = made
        check_sdist(sdist)
        check_pure(pure)
        check_description(pure, sdist)
        for path in (sdist, pure):
            shutil.copy(path, folder)
    run(sys.executable, '-m', 'twine', 'check', '--strict', *map(str, sorted(folder.iterdir())))


def epoch() -> str:
    """When what is here was committed; an sdist's files have that date."""
    if (ROOT / '.git').exists():
        return run('git', 'log', '-1', '--format=%ct', output=True).strip()
    return str(int((ROOT / 'PKG-INFO').stat().st_mtime))


def sources() -> list[str]:
    """The files of the project, by name."""
    if (ROOT / '.git').exists():
        listed = run('git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', output=True)
        return sorted(name for name in listed.split('\0') if (ROOT / name).is_file())
    [listing] = ROOT.glob('*.egg-info/SOURCES.txt')
    names = listing.read_text(encoding='utf-8').splitlines()
    return sorted(name for name in names if not name.startswith(listing.parent.name))


def run(*command: str, output: bool = False) -> str:
    done = subprocess.run(command, cwd=ROOT, encoding='utf-8', stdout=subprocess.PIPE if output else None)
    if done.returncode:
        sys.exit(f'{" ".join(command)}: status {done.returncode}')
    return done.stdout or ''


# -- making -----------------------------------------------------------------------------------------------------------


def make_all(work: Path) -> tuple[Path, Path, Path]:
    """The sdist; and from it the wheel for every platform, and that with the accelerator for this Python."""
    tree = work / 'tree'
    for name in sources():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    sdist = build('sdist', tree, work / 'sdist')
    repack(sdist)
    wheels = []
    for kind, environment in (('pure', {'CC': 'false'}), ('native', {})):
        with tarfile.open(sdist) as archive:
            archive.extractall(work / f'from-{kind}')
        [unpacked] = (work / f'from-{kind}').iterdir()
        wheels.append(build('wheel', unpacked, work / kind, **environment))
    return sdist, wheels[0], wheels[1]


def build(kind: str, tree: Path, folder: Path, **environment: str) -> Path:
    command = [sys.executable, '-m', 'build', '--no-isolation', f'--{kind}', '--outdir', str(folder), str(tree)]
    log = tree.parent / f'{folder.name}.log'
    with log.open('w') as file:
        done = subprocess.run(command, env={**os.environ, **environment}, stdout=file, stderr=file)
    if done.returncode or 'DeprecationWarning' in log.read_text():
        sys.exit(f'{log.read_text()}\nthe build of the {kind} has failed, or warns of something deprecated')
    [path] = folder.iterdir()
    return path


def repack(path: Path) -> None:
    """The same files, in a fixed order, with one date and no owner: setuptools takes those of the machine."""
    date = int(os.environ['SOURCE_DATE_EPOCH'])
    with tarfile.open(path) as archive:
        files = sorted(
            ((member, archive.extractfile(member).read()) for member in archive if member.isfile()),
            key=lambda file: file[0].name,
        )
    with (
        path.open('wb') as file,
        gzip.GzipFile('', 'wb', fileobj=file, mtime=date) as zipped,
        tarfile.open(fileobj=zipped, mode='w', format=tarfile.PAX_FORMAT) as archive,
    ):
        for member, data in files:
            plain = tarfile.TarInfo(member.name)
            plain.size, plain.mtime = len(data), date
            plain.mode = 0o755 if member.mode & 0o100 else 0o644
            archive.addfile(plain, io.BytesIO(data))


# -- checking ---------------------------------------------------------------------------------------------------------


def names_in(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {member.name.partition('/')[2] for member in archive}


def check_sdist(sdist: Path) -> None:
    """It is the whole project, and nothing else."""
    missing = set(sources()) - names_in(sdist)
    foreign = {name for name in names_in(sdist) - set(sources()) if not MADE.fullmatch(name)}
    if missing or foreign:
        sys.exit(f'the sdist lacks {sorted(missing)}, and has {sorted(foreign)}: see MANIFEST.in')


def check_pure(wheel: Path) -> None:
    # The folder of data has a name with the version in it.
    names = {re.sub(r'^[\w.-]+\.data/data/', '', name) for name in zipfile.ZipFile(wheel).namelist()}
    needed = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'ws').rglob('*.py')}
    needed |= {'ws/py.typed', 'share/man/man1/wscat.1'}
    foreign = [name for name in names - needed if not re.fullmatch(r'[\w.-]+\.dist-info/.*', name)]
    missing = needed - names
    if foreign or missing or not wheel.name.endswith('-py3-none-any.whl'):
        sys.exit(f'{wheel.name} has {sorted(foreign)}, and lacks {sorted(missing)}')


def check_description(wheel: Path, sdist: Path) -> None:
    """The index can show README.md, and from there its links lead to pages and its pictures are found."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith('.dist-info/METADATA')]
        metadata = email.message_from_bytes(archive.read(name))
    urls = dict(line.split(', ') for line in metadata.get_all('Project-URL'))
    shown = markdown.render(metadata.get_payload(decode=True).decode())
    places = re.findall(r'<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]*)"', shown)
    files = names_in(sdist)
    wrong = [place for place in places if not leads_somewhere(place, urls['Source'], metadata['Version'], files)]
    if wrong or not places:
        sys.exit(f'of the {len(places)} links of README.md, these lead nowhere from the index: {wrong}')


def leads_somewhere(place: str, source: str, version: str, files: set[str]) -> bool:
    if not place.startswith(f'{source}/'):
        return place.startswith(('https://', '#'))
    [name] = re.findall(rf'/(?:blob|raw)/v{re.escape(version)}/([^#]+)', place) or ['']
    return name in files or any(file.startswith(f'{name.rstrip("/")}/') for file in files if name)


if __name__ == '__main__':
    main(Path(sys.argv[1]).resolve())
