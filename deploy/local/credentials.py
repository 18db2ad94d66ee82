"""The secrets of a local stack, made at its first start and kept in its folder."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from stemline.deploy.local.servers import write_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """One pair for the API, one for S3, one password each for Valkey and Flower."""

    secret_id: str
    secret_key: str
    s3_access_key: str
    s3_secret_key: str
    valkey_password: str
    flower_user: str
    flower_password: str

    @classmethod
    def generate(cls) -> Credentials:
        """New ones; the SecretId has the vendor's 36 characters."""
        return cls(
            secret_id="AKID" + secrets.token_hex(16),
            secret_key=secrets.token_hex(16),
            s3_access_key="S3" + secrets.token_hex(9).upper(),
            s3_secret_key=secrets.token_hex(20),
            valkey_password=secrets.token_hex(20),
            flower_user="stemline",
            flower_password=secrets.token_hex(10),
        )

    @classmethod
    def load_or_create(cls, path: Path) -> Credentials:
        """Those of the file, or new ones that are written there (mode 0600).

        Raises:
            ValueError: the file is not what this class wrote.
        """
        if path.exists():
            try:
                return cls(**json.loads(path.read_text()))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path} cannot be read; mend or remove it: {error}") from error
        credentials = cls.generate()
        write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
        return credentials
