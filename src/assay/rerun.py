"""`python -m assay.rerun ATTESTATION`: do a recorded step again; prints what came out as JSON.

A process of its own, so that `assay reproduce` can hand it to another interpreter and folder.
"""

import argparse
import json
import tempfile
from pathlib import Path

from assay.attestation import Attestation, load
from assay.config import context_from_env
from assay.execution import rerun
from assay.kfp import task
from assay.provenance import find_step
from assay.store import open_store


def main() -> None:
    """Read the record, run its step, print the outputs' digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attestation")
    parser.add_argument("--allow-module", action="append", default=[])
    options = parser.parse_args()
    with task("reproduce"):
        context = context_from_env()
        record = load(context.store, options.attestation, context.verifier)
        step = find_step(record.entry_point, tuple(options.allow_module))
        with tempfile.TemporaryDirectory(prefix="assay-scratch-") as folder:
            scratch = open_store(Path(folder).resolve().as_uri())
            again: Attestation = rerun(step, record, context, scratch)
    outcome = {
        "code": again.code_digest,
        "outputs": {name: output.digest for name, output in again.outputs.items()},
    }
    print(json.dumps(outcome))  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main()
