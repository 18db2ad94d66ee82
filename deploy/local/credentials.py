"""Credentials of a local stack, generated at its first start and kept in its folder."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from stemline.deploy.local.files import write_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key pairs for the API and S3, passwords for Valkey and Flower, a secret for callbacks."""

    secret_id: str
    secret_key: str
    s3_access_key: str
    s3_secret_key: str
    valkey_password: str
    flower_user: str
    flower_password: str
    webhook_secret: str
    """Signs callbacks, so that a receiver knows where they come from."""

    @classmethod
    def generate(cls) -> Credentials:
        """Generate credentials; the SecretId has the vendor's form of 36 characters."""
        return cls(
            secret_id="AKID" + secrets.token_hex(16),
            secret_key=secrets.token_hex(16),
            s3_access_key="S3" + secrets.token_hex(9).upper(),
            s3_secret_key=secrets.token_hex(20),
            valkey_password=secrets.token_hex(20),
            flower_user="stemline",
            flower_password=secrets.token_hex(10),
            webhook_secret=f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        )

    @classmethod
    def load_or_create(cls, path: Path) -> Credentials:
        """Read credentials from a file (mode 0600); generate those that it lacks, and write them.

        Raises:
            ValueError: The file was not written by this class.
        """
        known: dict[str, str] = {}
        if path.exists():
            try:
                known = json.loads(path.read_text())
                credentials = cls(**{**asdict(cls.generate()), **known})
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path} does not hold credentials; correct or remove it") from error
        else:
            credentials = cls.generate()
        if known == asdict(credentials):
            return credentials
        write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
        return credentials
