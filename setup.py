"""Map the top-level folders to subpackages of `assay`; everything else is in pyproject.toml.

A stage is `assay.components.STAGE` whatever its category, so that a stage may change its category
and what names its entry point, such as an attestation, stays valid.
"""

from pathlib import Path

from setuptools import find_packages, setup

STAGES = {
    f"assay.components.{file.parent.name}": str(file.parent)
    for file in sorted(Path("components").glob("*/*/stage.yaml"))
}
ROOTS = {
    "assay": "src/assay",
    "assay.components": "components",
    **STAGES,
    "assay.pipelines": "pipelines",
}
setup(
    package_dir=ROOTS,
    packages=[
        name
        for root, folder in ROOTS.items()
        for name in (root, *(f"{root}.{child}" for child in find_packages(folder)))
    ],
)
