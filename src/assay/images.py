"""The container images that components run in.

A component names its image by role; which image that is, is decided when a pipeline is compiled.
Images are pinned by digest through `ASSAY_IMAGES`, the path of a JSON file `{role: reference}`
that `assay compile --images` sets. Without it the reference is the development tag of this version.
"""

import os
import shlex
from pathlib import Path
from typing import Any, Final

import yaml

from assay import __version__
from assay.documents import read_json, read_regular
from assay.errors import AssayError, UsageError

ROLES: Final = ("data", "train", "release", "deploy")
"""One image per set of needs: Great Expectations and Evidently; scikit-learn; the registry; Git."""
MAX_MAP_BYTES: Final = 1 << 20
_VARIABLE: Final = "ASSAY_IMAGE"
CODE_FOLDER: Final = "/opt/assay/code"
"""Where the images of `images/` have the library, and nothing else has anything."""
_SCRIPT: Final = "program_path=$(mktemp -d)"
"""How KFP begins the script that runs a lightweight component."""


def image(role: str) -> str:
    """The image reference for `role`, one of `ROLES`.

    Raises:
        UsageError: `ASSAY_IMAGES` names a file that is no map of roles to references.
    """
    path = os.environ.get("ASSAY_IMAGES", "")
    if not path:
        return f"assay-python-{role}:{__version__}"
    try:
        references = read_json(read_regular(Path(path), MAX_MAP_BYTES, "ASSAY_IMAGES"), path)
        return str(references[role])
    except (UsageError, TypeError, KeyError) as error:
        raise UsageError(
            f"{path}: no image for {role!r} ({error!r}); "
            f"give a JSON object with a reference for each of {', '.join(ROLES)}"
        ) from error


def is_pinned(reference: str) -> bool:
    """Whether a reference names one image for ever: by digest, not by a tag that can move."""
    return "@sha256:" in reference


def name_images(compiled: str, *, component: bool = False) -> str:
    """Tell each container of a compiled file which image it runs in, as `ASSAY_IMAGE`.

    An image cannot hold its own digest, and Kubernetes does not tell a container; the attestations
    of what it computes name it. Only compiled files say so: a task that `kfp.local` runs as a plain
    process is in no image.

    Args:
        compiled: KFP's YAML.
        component: Whether it is a component for `load_component_from_file`. KFP's SDK (2.17) reads
            back the `env` list that it writes as a map, and fails when a pipeline with the
            component is compiled; so the container's command exports the variable instead, where
            it runs in an image of ours.

    Returns:
        The same with the variable; the comments at its head stay.
    """
    lines = compiled.splitlines(keepends=True)
    head = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    documents: list[dict[str, Any]] = list(yaml.safe_load_all("".join(lines[head:])))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        if "container" not in executor:
            continue
        container = executor["container"]
        if component:
            _export(container)
        else:
            variables = [item for item in container.get("env", ()) if item["name"] != _VARIABLE]
            container["env"] = [*variables, {"name": _VARIABLE, "value": container["image"]}]
    return "".join(lines[:head]) + yaml.safe_dump_all(documents, sort_keys=True)


def _export(container: dict[str, Any]) -> None:
    """Export the variable in the shell script that KFP wrote."""
    command = container["command"]
    place = next((n for n, word in enumerate(command) if word.startswith(_SCRIPT)), None)
    if place is None:
        raise AssayError(
            "this version of kfp starts components by another script than 2.17; assay.images has "
            "to learn how to name the image in it"
        )
    named = f"{_VARIABLE}={shlex.quote(container['image'])}"
    command[place] = f"if [ -d {CODE_FOLDER} ]; then export {named}; fi\n{command[place]}"
