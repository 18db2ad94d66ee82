"""Checks of what the commands use: the API with the bucket of its key pair, and Flower of the local stack."""

from __future__ import annotations

from collections.abc import Iterator

from stemline.cli.checks.findings import TIMEOUT_S, CheckContext, Finding, fail, ok, skip


def service(_context: CheckContext) -> Iterator[Finding]:
    """Ask the service that `stemline submit` would ask, with the same keys, and the store of its bucket."""
    from stemline.cli.exits import failure
    from stemline.client import Client, ClientError, NotConfigured, Retry, find

    try:
        target = find()
    except NotConfigured as error:
        yield skip("service", str(error).partition(":")[0])
        return
    answers = f"{target.api} answers, and accepts the keys of {target.origin}"
    fix = "correct the profile or the variables that the commands use; `stemline login` stores a profile"
    try:
        with Client(target, retry=Retry(budget_s=TIMEOUT_S), timeout_s=TIMEOUT_S) as client:
            client.queues()
            yield ok("service", answers)
            if target.s3 is None:
                yield ok("service", "stems are fetched through links: no keys of the bucket are known")
                return
            fix = "check the bucket, its endpoint and its keys in the profile; `stemline login` stores them"
            client.bucket.check()
            yield ok("service", f"the bucket {target.bucket} exists, and accepts the keys")
    except (ClientError, ValueError) as error:
        ended = failure(error)
        yield fail("service", ended.message, ended.hint or fix)


def flower(_context: CheckContext) -> Iterator[Finding]:
    """Ask Flower of the local stack, which nothing but a browser uses."""
    from stemline.cli.local_stack import running_stack
    from stemline.jobs.reasons import reason_of
    from stemline.runtime import loopback

    found = running_stack()
    url = found[1].get("flower", {}).get("url", "") if found else ""
    if not url:
        yield skip("flower", "no local stack runs here")
        return
    try:
        loopback.opener().open(f"{url}/healthcheck", timeout=TIMEOUT_S).close()
    except OSError as error:
        fix = "stop `stemline up` and start it again; logs/flower.log says more"
        yield fail("flower", f"{url} does not answer: {reason_of(error)}", fix)
    else:
        yield ok("flower", f"{url} answers")
