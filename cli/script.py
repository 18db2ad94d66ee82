"""What the script `stemline` runs; it imports nothing before Ctrl-C has a meaning."""

import gc


def run() -> None:
    """Run the command. Ctrl-C while its modules are imported ends it like any other Ctrl-C."""
    try:
        from stemline.cli.main import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        # The interpreter would search all modules for garbage once more before it ends, some 50 ms.
        gc.freeze()
