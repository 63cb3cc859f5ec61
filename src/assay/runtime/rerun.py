"""`python -m assay.runtime.rerun ATTESTATION`: execute an attested step again; prints JSON.

A process of its own, so that `assay reproduce` can use another interpreter and folder.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from assay.core.attestation import Attestation, load
from assay.core.execution import rerun
from assay.core.provenance import find_step
from assay.core.store import open_store
from assay.errors import AssayError
from assay.runtime.context import task_context


def main() -> None:
    """Read the attestation, execute its step, and print the digests of the outputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attestation")
    parser.add_argument("--allow-module", action="append", default=[])
    options = parser.parse_args()
    try:
        again = _again(options.attestation, tuple(options.allow_module))
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the parent process shows it
        raise SystemExit(error.exit_code) from None
    outcome = {
        "code": again.code_digest,
        "outputs": {name: output.digest for name, output in again.outputs.items()},
    }
    print(json.dumps(outcome))  # noqa: T201 - this is the answer


def _again(digest: str, allowed: tuple[str, ...]) -> Attestation:
    context = task_context()
    attestation = load(context.store, digest, context.verifier)
    step = find_step(attestation.entry_point, allowed)
    with tempfile.TemporaryDirectory(prefix="assay-scratch-") as folder:
        return rerun(step, attestation, context, open_store(Path(folder).resolve().as_uri()))


if __name__ == "__main__":
    main()
