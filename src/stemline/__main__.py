"""``python -m stemline`` is the ``stemline`` command."""

from stemline.cli.main import main

if __name__ == "__main__":
    main(prog_name="stemline")
