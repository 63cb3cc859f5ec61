"""The command of a component's container.

The command is `python3 -m assay.runtime.task kfp.dsl.executor_main NAME JSON`; a compiled pipeline
leaves out the third word.

KFP's launcher replaces the JSON by the inputs of the task and the locations of its outputs; KFP's
executor reads and writes them.
"""

import argparse
import importlib
import logging
import sys
from pathlib import Path
from typing import Any, Final

from assay.core.environment import set_variables

MAX_INPUT_BYTES: Final = 8 << 20


def main() -> None:
    """Run a component of this installation; errors are reported without secrets.

    Raises:
        SystemExit: It failed.
        KeyboardInterrupt: It was interrupted; the process ends by the signal.
    """
    try:
        _run()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - Python would print secrets
        from assay.printable import traceback_of

        print(traceback_of(error), file=sys.stderr, flush=True)  # noqa: T201 - the pod's log
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise SystemExit(1) from None


def _run() -> None:
    # Before kfp is imported, which then skips modules that a pod does not need.
    set_variables({"_KFP_RUNTIME": "true"})
    parser = argparse.ArgumentParser(prog="assay.runtime.task")
    parser.add_argument("--image", default="", help="reference of the image, for attestations")
    parser.add_argument("stands_for", nargs="?", help="for kfp.local only")
    parser.add_argument("component")
    parser.add_argument("executor_input")
    given = parser.parse_args()

    from assay.core.settings import IMAGE
    from assay.documents import Limits, read_json
    from assay.runtime.images import CODE_FOLDER

    if given.image and Path(CODE_FOLDER).is_dir():
        set_variables({IMAGE.name: given.image})
    if not given.component.isidentifier():
        parser.error(f"no component {given.component!r}")
    logging.basicConfig(
        stream=sys.stdout,
        format="[KFP Executor %(asctime)s %(levelname)s]: %(message)s",
        level=logging.INFO,
    )
    limits = Limits(MAX_INPUT_BYTES, depth=100, values=500_000)
    executor_input = read_json(given.executor_input, "executor_input", limits)

    from kfp.dsl.executor import Executor

    class Declared(Executor):  # type: ignore[misc]
        """Returns only the outputs that the pipeline declares; unused ones are removed."""

        def write_output_parameter_value(self, name: str, value: Any) -> None:
            if name in (executor_input.get("outputs") or {}).get("parameters", {}):
                super().write_output_parameter_value(name, value)

    name = f"assay.components.{given.component}.component"
    function = getattr(importlib.import_module(name), given.component)
    Declared(executor_input=executor_input, function_to_execute=function).execute()


if __name__ == "__main__":
    main()
