"""`python -m assay.rerun ATTESTATION`: do a recorded step again; prints what came out as JSON.

A process of its own, so that `assay reproduce` can hand it to another interpreter and folder.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from assay.attestation import Attestation, load
from assay.config import context_from_env
from assay.errors import AssayError
from assay.execution import rerun
from assay.provenance import find_step
from assay.store import open_store


def main() -> None:
    """Read the record, run its step, print the outputs' digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attestation")
    parser.add_argument("--allow-module", action="append", default=[])
    options = parser.parse_args()
    try:
        again = _again(options.attestation, tuple(options.allow_module))
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - whoever started it shows it
        raise SystemExit(error.exit_code) from None
    outcome = {
        "code": again.code_digest,
        "outputs": {name: output.digest for name, output in again.outputs.items()},
    }
    print(json.dumps(outcome))  # noqa: T201 - this is the answer


def _again(digest: str, allowed: tuple[str, ...]) -> Attestation:
    context = context_from_env()
    record = load(context.store, digest, context.verifier)
    step = find_step(record.entry_point, allowed)
    with tempfile.TemporaryDirectory(prefix="assay-scratch-") as folder:
        return rerun(step, record, context, open_store(Path(folder).resolve().as_uri()))


if __name__ == "__main__":
    main()
