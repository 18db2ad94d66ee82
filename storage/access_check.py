"""Checks this machine's access to its buckets before a job is claimed."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError, SSLError

from stemline.jobs.reasons import reason_of
from stemline.runtime.errors import StartRefused
from stemline.runtime.http_date import seconds_of
from stemline.runtime.settings import BucketAccess
from stemline.storage.clients import MAX_CLIENTS, BucketClient, Clients
from stemline.storage.faults import Fault, fault_of
from stemline.storage.s3_errors import CONNECTION_ERRORS, error_code, status_of

log = structlog.get_logger(__name__)

HOW_TO_CONFIGURE: Final = 'Set STEMLINE_BUCKETS or STEMLINE_BUCKETS_FILE; "*" stands for any bucket.'
_UNKNOWN_BUCKET: Final = "stemline-start-check"
"""A bucket to ask for if the settings name none: a store that accepts the keys answers that it is missing."""
_CA_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_PROXYS: Final = frozenset({407, 511})
"""Statuses of the proxy or the network before the machine."""


class BucketsUnusable(StartRefused):
    """No bucket can be used: none is configured, or keys, profile, authorities, proxy or clock are wrong."""


def check_access(
    clients: Clients, entries: Mapping[str, BucketAccess], region: str, *, max_skew_s: float
) -> None:
    """Send one small request with the keys of each of the first entries; silent stores are only logged.

    An entry that cannot be used is logged too, as it keeps no other tenant's jobs from being done.

    Args:
        clients: The clients that jobs will use.
        entries: How each bucket is reached.
        region: For entries that name none.
        max_skew_s: By how much this machine's clock may differ from a store's, s.

    Raises:
        BucketsUnusable: No entry can be used, or the machine's own keys, proxy or authorities are the reason.
    """
    if not entries:
        raise BucketsUnusable(f"No bucket is configured. {HOW_TO_CONFIGURE}")
    machines = [*_unusable(os.environ.get(name) for name in _CA_VARIABLES)]
    # With wrong authorities of its own the machine reaches no store.
    looked_at, found = _look(clients, {} if machines else entries, region, max_skew_s)
    machines += [f"{each.entry}: {each.reason}" for each in found if each.is_machines]
    if machines:
        raise BucketsUnusable("The buckets cannot be used. " + "; ".join(sorted(machines)))
    if len(found) == looked_at:
        reasons = sorted(f"{each.entry}: {each.reason}" for each in found)
        raise BucketsUnusable("The buckets cannot be used. " + "; ".join(reasons))
    for each in found:
        log.error("buckets.entry_unusable", entry=each.entry, reason=each.reason)


@dataclass(frozen=True, slots=True)
class _Found:
    """Why an entry cannot be used."""

    entry: str
    reason: str
    is_machines: bool = False
    """Whether other entries, and jobs of other tenants, meet the same."""


def _look(
    clients: Clients, entries: Mapping[str, BucketAccess], region: str, max_skew_s: float
) -> tuple[int, list[_Found]]:
    """Return how many entries were looked at, and what is wrong with some of them."""
    found: list[_Found] = []
    bundles = {each.ca_bundle for each in entries.values()}
    unreadable = {file: "".join(_unusable([file])) for file in bundles}  # each is read once
    checked: dict[int, tuple[str, BucketClient]] = {}
    # The machine's own keys first: they are those of many entries.
    for name in sorted(entries, key=lambda name: bool(entries[name].access_key)):
        if len(checked) + len(found) == MAX_CLIENTS:
            break
        access = entries[name]
        if fault := unreadable[access.ca_bundle]:
            found.append(_Found(name, fault))
            continue
        try:
            client = clients.for_bucket(region, _UNKNOWN_BUCKET if name == "*" else name)
        except (BotoCoreError, ValueError) as error:
            found.append(_Found(name, str(error), is_machines=not access.access_key))
        else:
            checked.setdefault(id(client.s3), (name, client))  # one request for each store and key pair

    def ask(named: tuple[str, BucketClient]) -> _Found:
        name, client = named
        reason, is_proxys = _fault_of(client, max_skew_s)
        return _Found(name, reason, is_machines=is_proxys or not entries[name].access_key)

    with ThreadPoolExecutor(8) as pool:
        asked = [each for each in pool.map(ask, checked.values()) if each.reason]
    return len(checked) + len(found), found + asked


def _unusable(files: Iterable[Path | str | None]) -> Iterator[str]:
    """Yield why files, or folders, of authorities cannot be read."""
    for file in files:
        if not file:
            continue
        is_folder = Path(file).is_dir()
        try:
            ssl.create_default_context(cafile=None if is_folder else file, capath=file if is_folder else None)
        except OSError as error:
            yield f"the authorities of {file} cannot be read: {error.strerror or error}"


def _fault_of(client: BucketClient, max_skew_s: float) -> tuple[str, bool]:
    """Return why an entry cannot be used, or an empty text, and whether a proxy of the machine says so."""
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
    if abs(skew_s) > max_skew_s:
        direction = "behind" if skew_s > 0 else "ahead of"
        fault = f"the clock of this machine is {abs(skew_s):.0f} s {direction} the store's"
    return fault, answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in _PROXYS


def _fault_in(error: ClientError) -> str:
    """Return what an answer says of this machine or its settings, or an empty text."""
    code, status = error_code(error), status_of(error)
    if code == "RequestTimeTooSkewed":
        return "the clock of this machine is wrong, says the store"
    if status in _PROXYS:
        return f"the proxy or network of this machine refuses it ({status})"
    # A redirect may be another bucket's: the name that is asked for can be anybody's.
    if fault_of(error) in {Fault.WORKER, Fault.ENTRY} and status not in {301, 308}:
        return f"the store refuses the keys ({code})"
    return ""


def _skew_s(answer: Mapping[str, Any], now: float) -> float:
    """Return by how much the store's clock is ahead, s; 0 if its answer has no date."""
    date_s = seconds_of(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
    return 0.0 if date_s is None else date_s - now
