"""Checks the files that settings name, before a process needs them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.errors import UnreadableFile
from stemline.runtime.settings import Settings


def unusable_files(settings: Settings) -> list[str]:
    """Return what is wrong with the files that the settings name, one line each."""
    store, server, storage, access = settings.store, settings.server, settings.storage, settings.access
    files = CredentialFiles.of(settings)
    bundles: dict[str, Path | None] = {"STEMLINE_REDIS_CA": store.tls_ca}
    bundles |= {name: Path(os.environ[name]) for name in ("AWS_CA_BUNDLE",) if os.environ.get(name)}
    faults = []
    for name, path, credentials in (
        ("STEMLINE_CREDENTIALS_FILE", access.credentials_file, files.key_pairs),
        ("STEMLINE_BUCKETS_FILE", storage.buckets_file, files.buckets),
    ):
        try:
            credentials.entries()
        except UnreadableFile as error:
            faults.append(f"{name}: {path}: {error.reason}")
    with suppress(UnreadableFile):
        entries = files.buckets.entries()
        bundles |= {f"STEMLINE_BUCKETS at {name}.ca_bundle": each.ca_bundle for name, each in entries.items()}
    faults += _unusable_authorities(bundles)
    faults += _unusable_pair("STEMLINE_TLS_CERTIFICATE", server.tls_certificate, server.tls_key)
    faults += _unusable_pair("STEMLINE_REDIS_CERTIFICATE", store.tls_certificate, store.tls_key)
    return faults


def _unusable_authorities(bundles: Mapping[str, Path | None]) -> Iterator[str]:
    for name, path in bundles.items():
        if path is None:
            continue
        try:
            ssl.create_default_context(
                cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None
            )
        except OSError as error:
            yield f"{name}: {path}: {_reason(error)}"


def _unusable_pair(name: str, certificate: Path | None, key: Path | None) -> Iterator[str]:
    """Yield why a certificate and its key cannot be used together."""
    for path in (certificate, key):
        if path is not None:
            try:
                path.read_bytes()
            except OSError as error:
                yield f"{name}: {path}: {_reason(error)}"
                return
    if certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except OSError as error:
            yield f"{name}: {certificate}: {_reason(error)}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
