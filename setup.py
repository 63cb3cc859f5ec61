"""Map the top-level folders to subpackages of `assay`; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

ROOTS = {"assay": "src/assay", "assay.components": "components", "assay.pipelines": "pipelines"}
setup(
    package_dir=ROOTS,
    packages=[
        name
        for root, folder in ROOTS.items()
        for name in (root, *(f"{root}.{child}" for child in find_packages(folder)))
    ],
)
