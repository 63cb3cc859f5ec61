"""`assay`, and `python -m assay`."""

import _thread
import sys
import threading
from typing import Any


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported is an exit code and no trace."""
    sys.unraisablehook = _unraisable
    try:
        from assay.cli import main as command
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    command()


def _unraisable(event: Any) -> None:
    """Interrupt again where Python cannot raise, such as in the callback of an import lock."""
    if not issubclass(event.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(event)
        return
    again = threading.Timer(0.01, _thread.interrupt_main)  # when this function has returned
    again.daemon = True
    again.start()


if __name__ == "__main__":
    main()
