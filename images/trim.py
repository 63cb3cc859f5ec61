"""Remove unused files from a folder of installed packages, or from a base image.

    python3 trim.py packages FOLDER   installers, packages' tests and C sources; compiles the rest
    python3 trim.py base              the base image's own installers, after which pip is gone

Runs inside of a build, on any Python 3, with the standard library alone.
"""

import compileall
import os
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

INSTALLERS = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")
BASE_FILES = ("distutils-precedence.pth",)
SOURCES = (".c", ".cc", ".cpp", ".f", ".h", ".hpp", ".pxd", ".pxi", ".pyx")
"""Suffixes of the sources of compiled modules."""
DEBIAN_WHEELS = Path("/usr/share/python-wheels")


def is_test_folder(path: Path) -> bool:
    """Whether a folder named `tests` holds a package's own tests.

    Not all do: in some packages it is part of the API.
    """
    return path.name in {"test", "tests"} and any(path.rglob("test_*.py"))


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_installers(folder: Path) -> None:
    """Remove pip and other installers from a `site-packages` folder."""
    for name in INSTALLERS:
        remove(folder / name)
        for metadata in folder.glob(f"{name}-*.dist-info"):
            remove(metadata)
    for name in BASE_FILES:
        remove(folder / name)


def trim_packages(folder: Path) -> None:
    """Trim a virtual environment, and compile its modules.

    Compiled files have the hash of their source and are not checked again: the same sources give
    the same bytes, and a start does not read time stamps.
    """
    (site,) = folder.glob("lib/python3*/site-packages")
    remove_installers(site)
    for script in (folder / "bin").glob("pip*"):
        remove(script)
    for parent, names, files in os.walk(site, topdown=True):
        here = Path(parent)
        for name in [name for name in names if is_test_folder(here / name)]:
            remove(here / name)
            names.remove(name)
        for name in files:
            if name == "conftest.py" or name.endswith(SOURCES):
                remove(here / name)
    compile_all(folder)


def compile_all(folder: Path) -> None:
    """Compile every module below a folder."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    # Some packages ship templates and tests of the parser that do not compile: not a failure.
    compileall.compile_dir(folder, quiet=2, force=True, invalidation_mode=mode, workers=0)


def trim_base() -> None:
    """Remove the installers of the current Python."""
    for name in ("purelib", "platlib"):
        remove_installers(Path(sysconfig.get_path(name)))
    remove_installers(Path("/usr/lib/python3/dist-packages"))
    remove(Path(sysconfig.get_path("stdlib")) / "ensurepip")
    remove(DEBIAN_WHEELS)
    for folder in ("/usr/local/bin", "/usr/bin"):
        for script in (*Path(folder).glob("pip*"), *Path(folder).glob("wheel*")):
            remove(script)


if __name__ == "__main__":
    if sys.argv[1] == "base":
        trim_base()
    else:
        trim_packages(Path(sys.argv[2]))
