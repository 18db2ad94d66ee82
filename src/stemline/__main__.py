"""``python -m stemline`` is the ``stemline`` command."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` puts the current folder first: a file such as redis.py in it would replace a library.
        del sys.path[0]
    from stemline.cli.script import run

    run(prog_name="stemline")
