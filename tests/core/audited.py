"""Runs one step and says which files were opened for it: `python audited.py ENTRY_POINT STORE`.

Arguments are JSON on standard input, the answer is JSON on standard output.
"""

import importlib
import json
import os
import sys

OPENED: set[str] = set()


def hook(event: str, arguments: tuple[object, ...]) -> None:
    # Extension modules are named by `import`, all other files by `open`.
    place = {"open": 0, "import": 1}.get(event)
    if place is not None and isinstance(arguments[place], str):
        OPENED.add(str(arguments[place]))


def main() -> None:
    entry_point, url = sys.argv[1:]
    arguments = json.load(sys.stdin)
    sys.addaudithook(hook)
    from assay.core.execution import Context, execute
    from assay.core.store import open_store
    from assay.errors import AssayError

    module, _, name = entry_point.partition(":")
    step = getattr(importlib.import_module(module), name)
    error, outputs, values = "", {}, {}
    try:
        done = execute(step, arguments, Context(open_store(url)))
        outputs, values = dict(done.outputs), dict(done.values)
    except AssayError as failure:
        error = str(failure)
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = [os.path.realpath(path) for path in [*OPENED, *loaded] if path]
    answer = {"files": sorted(set(files)), "error": error, "outputs": outputs, "values": values}
    sys.stdout.write("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
