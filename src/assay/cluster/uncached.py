"""A compiled pipeline that KFP answers nothing of from its cache.

kfp's client has `enable_caching` for that, and in 2.17 it does not help: it is ignored for a
version that was uploaded, and reaches only the tasks at the root, which for ours is the exit
handler. So the run gets the compiled pipeline itself instead of the name of a version, with the
cache switched off in each task; a version would be the newest one, which the UI offers first.
"""

from typing import Any

import yaml

from assay.cluster.compiled import dags


def uncached(package: str) -> dict[str, Any]:
    """A run's pipeline, as KFP's API takes it, whose tasks all run anew.

    Args:
        package: The compiled YAML.
    """
    # What KFP's compiler wrote in this process; with options for a platform, two documents.
    spec, *platform = yaml.safe_load_all(package)
    for dag in dags(spec):
        for task in dag["tasks"].values():
            task["cachingOptions"] = {}
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
