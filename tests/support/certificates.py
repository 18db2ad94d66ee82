"""Self-signed certificates, each its own authority."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

from tests.conftest import missing


def make_certificate(folder: Path, name: str, subject_alt_name: str) -> Path:
    """Make ``<name>.crt`` with the key ``<name>.key`` beside it.

    Args:
        folder: For both files.
        name: Of the files, and the common name.
        subject_alt_name: Such as ``IP:127.0.0.1,DNS:localhost``.
    """
    if shutil.which("openssl") is None:
        missing("openssl")
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name}"
    words += f" -addext subjectAltName={subject_alt_name}"
    files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
    subprocess.run(["openssl", *words.split(), *files], cwd=folder, check=True, capture_output=True)
    return folder / f"{name}.crt"


def server_context(certificate: Path, *, clients: Path | None = None) -> ssl.SSLContext:
    """Return the TLS context of a server; with ``clients`` it requires certificates that this one signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
