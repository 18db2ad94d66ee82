"""Protocol of a repository of nonces."""

from __future__ import annotations

from typing import Protocol


class NonceRepository(Protocol):
    """Nonces of signed requests, each of which may be used once."""

    def is_used(self, credential: str, nonce: str) -> bool:
        """Return whether a request used the nonce before."""
        ...

    def use(self, credential: str, nonce: str, *, request_id: str, ttl_s: int) -> bool:
        """Remember a nonce; return whether this request is the first that uses it.

        Args:
            credential: SecretId of the signer, whose nonces are its own.
            nonce: The nonce.
            request_id: Id of the request; a repeated call for the same request gives the same answer.
            ttl_s: How long the nonce is remembered: at least until its signature has expired, s.

        Raises:
            NoncesFull: As many nonces of the credential as may be are remembered.
        """
        ...
