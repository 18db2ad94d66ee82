"""What the script `stemline` runs; it imports nothing before Ctrl-C has a meaning."""

import gc
import os
import sys


def run(**options: object) -> None:
    """Run the command, with options for Click. Ctrl-C while its modules are imported ends it as later."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller; what is written there goes nowhere
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # for the whole process
    try:
        from stemline.runtime.garbage import collect_seldom

        collect_seldom()
        from stemline.cli.main import main

        main(**options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        # The interpreter would search all modules for garbage once more before it ends, some 50 ms.
        gc.freeze()
