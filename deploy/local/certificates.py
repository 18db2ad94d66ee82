"""Certificates for https on this machine, issued by an authority of the stack's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from stemline.deploy.local.files import write_private
from stemline.runtime.loopback import HOSTS

#: Some clients refuse certificates that are valid for longer than 825 days.
_LIFETIME: Final = timedelta(days=800)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: of the authority, which clients trust, and of the server."""

    authority: Path
    chain: Path
    key: Path

    @property
    def variables(self) -> dict[str, str]:
        """The settings of an API that uses them."""
        return {"STEMLINE_TLS_CERTIFICATE": str(self.chain), "STEMLINE_TLS_KEY": str(self.key)}


def issue(folder: Path, region: str) -> Certificates:
    """Issue a certificate for this machine and for the vendor's host names of a region.

    The authority is created once and kept, so that clients need to trust it only once.

    Args:
        folder: Folder of the files.
        region: Region whose names `*.ci.<region>.myqcloud.com` the certificate is for.
    """
    import trustme  # noqa: PLC0415 - slow to import, and of the extra `local`

    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority_key = folder / "ca.key"
    if files.authority.exists() and authority_key.exists():
        authority = trustme.CA.from_pem(files.authority.read_bytes(), authority_key.read_bytes())
    else:
        authority = trustme.CA(organization_name="Stemline", organization_unit_name="local stack")
        write_private(authority_key, authority.private_key_pem.bytes().decode())
        write_private(files.authority, authority.cert_pem.bytes().decode())
    issued = authority.issue_cert(
        *HOSTS, f"*.ci.{region}.myqcloud.com", not_after=datetime.now(UTC) + _LIFETIME
    )
    write_private(files.chain, "".join(each.bytes().decode() for each in issued.cert_chain_pems))
    write_private(files.key, issued.private_key_pem.bytes().decode())
    return files
