"""What is wrong with this machine's access to its buckets, found before a job is claimed."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError, SSLError

from stemline.jobs.reasons import reason_of
from stemline.runtime.errors import StartRefused
from stemline.runtime.http_date import seconds_of
from stemline.runtime.settings import BucketAccess
from stemline.storage.clients import BucketClient, Clients
from stemline.storage.faults import Fault, fault_of
from stemline.storage.s3_errors import CONNECTION_ERRORS, error_code, status_of

log = structlog.get_logger(__name__)

HOW_TO_CONFIGURE: Final = 'Set STEMLINE_BUCKETS or STEMLINE_BUCKETS_FILE; "*" stands for any bucket.'
_UNKNOWN_BUCKET: Final = "stemline-start-check"
"""Asked for where the settings name no bucket: a store that accepts the keys answers that there is none."""
_CA_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class BucketsUnusable(StartRefused):
    """No bucket can be used: none is configured, or a key, profile, authority or clock is wrong."""


def check_access(
    clients: Clients, entries: Mapping[str, BucketAccess], region: str, *, most_skew_s: float
) -> None:
    """Send one small request with each entry's keys; a store that does not answer is only logged.

    Args:
        clients: The clients that jobs will use.
        entries: How each bucket is reached.
        region: For entries that name none.
        most_skew_s: By how much this machine's clock may differ from a store's, s.

    Raises:
        BucketsUnusable: An entry cannot be used; the message gives the reason for each.
    """
    if not entries:
        raise BucketsUnusable(f"No bucket is configured. {HOW_TO_CONFIGURE}")
    faults = [*_unusable_authorities(entries)]
    if not faults:
        checked: dict[int, tuple[str, BucketClient]] = {}
        for name in entries:
            bucket = _UNKNOWN_BUCKET if name == "*" else name
            try:
                client = clients.for_bucket(region, bucket)
            except (BotoCoreError, ValueError) as error:
                faults.append(f"{name}: {error}")
            else:
                checked.setdefault(id(client.s3), (name, client))  # one request for each store and key pair
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda each: (each[0], _fault_of(each[1], most_skew_s)), checked.values())
            faults += [f"{name}: {fault}" for name, fault in found if fault]
    if faults:
        raise BucketsUnusable("The buckets cannot be used. " + "; ".join(sorted(faults)))


def _unusable_authorities(entries: Mapping[str, BucketAccess]) -> Iterator[str]:
    """Yield each file of authorities that cannot be read, once."""
    files = {str(each.ca_bundle) for each in entries.values() if each.ca_bundle}
    files |= {os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)}
    for file in sorted(files):
        try:
            is_folder = Path(file).is_dir()
            ssl.create_default_context(cafile=None if is_folder else file, capath=file if is_folder else None)
        except OSError as error:
            yield f"the authorities of {file} cannot be read: {error.strerror or error}"


def _fault_of(client: BucketClient, most_skew_s: float) -> str:
    """Return why an entry cannot be used, or an empty text."""
    sent_at, answer, fault = time.time(), {}, ""
    try:
        answer = client.s3.list_objects_v2(Bucket=client.name, MaxKeys=1)
    except ClientError as error:
        answer, fault = error.response, _fault_in(error)
        if fault_of(error) is Fault.STORE:
            log.warning("storage.not_reached", bucket=client.name, error=error_code(error))
    except SSLError as error:
        fault = f"the store cannot be reached through TLS: {reason_of(error)}"
    except CONNECTION_ERRORS as error:
        log.warning("storage.not_reached", bucket=client.name, error=error_code(error))
    except BotoCoreError as error:
        fault = reason_of(error)
    skew_s = _skew_s(answer, (sent_at + time.time()) / 2)
    if abs(skew_s) > most_skew_s:
        direction = "behind" if skew_s > 0 else "ahead of"
        fault = f"the clock of this machine is {abs(skew_s):.0f} s {direction} the store's"
    return fault


def _fault_in(error: ClientError) -> str:
    """Return what an answer says of this machine or its settings, or an empty text."""
    code, status = error_code(error), status_of(error)
    if code == "RequestTimeTooSkewed":
        return "the clock of this machine is wrong, says the store"
    if status in {407, 511}:
        return f"the proxy or network of this machine refuses it ({status})"
    # A redirect may be another bucket's: the name that is asked for can be anybody's.
    if fault_of(error) in {Fault.WORKER, Fault.ENTRY} and status not in {301, 308}:
        return f"the store refuses the keys ({code})"
    return ""


def _skew_s(answer: Mapping[str, Any], now: float) -> float:
    """Return by how much the store's clock is ahead, s; 0 if its answer has no date."""
    date_s = seconds_of(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
    return 0.0 if date_s is None else date_s - now
