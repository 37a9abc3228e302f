"""Packages in this Python whose unpacking was cut short. pip takes them for installed, so that they stay broken.

`python -m tools.half_installed NAME...` exits with 0 if every NAME is there and whole. With `--forget` in place of names,
pip will install the broken ones again. Only the standard library: this runs before anything is installed.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def half_installed(site: Path) -> Iterator[tuple[str, Path]]:
    """Name and .dist-info folder of each broken package in the site-packages folder `site`."""
    for folder in sorted(site.glob("*.dist-info")):
        if not is_whole(Distribution.at(folder)):
            yield folder.name.split("-")[0], folder


def is_whole(package: Distribution) -> bool:
    """Whether every file in the package's RECORD is there, with its size. pip writes the final RECORD last."""
    if package.files is None:
        return False
    for file in package.files:
        path = Path(str(file.locate()))
        if file.suffix != ".pyc" and (not path.is_file() or file.size not in (None, path.stat().st_size)):
            return False
    return True


def _is_there_and_whole(name: str) -> bool:
    try:
        return is_whole(distribution(name))
    except PackageNotFoundError:
        return False


def main(arguments: list[str]) -> int:
    """Answer, or repair; the exit status."""
    if arguments != ["--forget"]:
        return 0 if all(_is_there_and_whole(name) for name in arguments) else 1
    for name, folder in half_installed(Path(sysconfig.get_path("purelib"))):
        print(f"setup: {name} is half-installed; installing it again", file=sys.stderr)
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
