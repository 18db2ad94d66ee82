"""Do the documented steps on a machine with systemd and let its services do jobs: `python -m tests.systemd`.

The steps are those of docs/deployment.md, as printed there. The services then do a job, are killed and
restarted by systemd, do another one with a second worker, and stop as their units say.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from stemline.deploy.local.servers import REGION, SeaweedServer, ValkeyServer
from stemline.testing.processes import environment, eventually
from tests.images.__main__ import BUCKET, do_one_job
from tests.paths import REPOSITORY
from tests.support.snippets import all_blocks
from tests.systemd.machine import Machine, leave_the_network, make_base, refusal

API = "http://127.0.0.1:8787"
KEY = {"secret_id": "AKID" + "1" * 32, "secret_key": "2" * 32}
SERVICES = (
    "stemline-api",
    "stemline-worker@1",
    "stemline-callbacks",
    "stemline-beat",
    "stemline-flower",
)
#: Where the documented steps end and the operator's own values are filled in.
_START = "systemctl enable --now"


def steps() -> tuple[str, str]:
    """Return the documented commands before the services are started, and the one that starts them."""
    (block,) = (b for b in all_blocks() if b.page == "docs/deployment.md" and _START in b.code)
    before, start, names = block.code.partition(_START)
    return before, start + names


def doctor() -> str:
    """Return the documented command that runs `stemline doctor` with the variables of the services."""
    (block,) = (b for b in all_blocks() if b.page == "docs/deployment.md" and "systemd-run" in b.code)
    return block.code


def are_scraped() -> None:
    """Read the metrics of API, callback worker and worker at the targets of Prometheus' configuration."""
    file = yaml.safe_load((REPOSITORY / "deploy/prometheus/systemd.yml").read_text())
    for job in file["scrape_configs"]:
        for target in (target for each in job["static_configs"] for target in each["targets"]):
            with urllib.request.urlopen(f"http://{target}/metrics", timeout=30) as answer:
                assert b"\nstemline_" in answer.read(), target


def is_healthy(machine: Machine, service: str) -> bool:
    """Whether systemd runs the service, and its probe succeeds with the variables that the unit gives it.

    Raises:
        SystemExit: systemd has given it up.
    """
    state = machine.run(f"systemctl is-active {service}", check=False).strip()
    if state == "failed":
        raise SystemExit(journal(machine, service))
    part = service.removeprefix("stemline-").partition("@")[0]
    part = "worker" if part == "callbacks" else part
    probe = f"""
        mapfile -d '' -t variables < /proc/$(systemctl show -P MainPID {service})/environ
        setpriv --reuid stemline --regid stemline --init-groups env -i "${{variables[@]}}" \
            /opt/stemline/bin/stemline health {part} && echo healthy
    """
    return state == "active" and machine.run(probe, check=False).endswith("healthy\n")


def journal(machine: Machine, service: str) -> str:
    """Return the last lines that a service wrote."""
    return machine.run(f"journalctl --no-pager -n 40 -u {service}", check=False)


def property_of(machine: Machine, service: str, name: str) -> str:
    """Return a property of a unit, as systemd shows it."""
    return machine.run(f"systemctl show -P {name} {service}").strip()


def wait_until_healthy(machine: Machine, services: Sequence[str]) -> None:
    """Wait for services, and show what one wrote that does not become healthy."""
    for service in services:
        try:
            eventually(partial(is_healthy, machine, service), 180, service)
        except AssertionError as error:
            raise SystemExit(f"{error}\n{journal(machine, service)}") from None


def configure(machine: Machine, valkey: ValkeyServer, s3: SeaweedServer) -> None:
    """Fill in the files of /etc/stemline, as an operator does: first by variables."""
    variables = environment(
        valkey.url, s3, hosts={"*": {"bucket": BUCKET, "region": REGION}}, durability="disk"
    )
    # Without quotes, as in the example: within a value systemd leaves them as they are.
    machine.write("/etc/stemline/stemline.env", "\n".join(f"{k}={v}" for k, v in variables.items()))
    machine.write("/etc/stemline/credentials.env", f"STEMLINE_CREDENTIALS={json.dumps([KEY])}")


def use_files_of_tenants(machine: Machine, s3: SeaweedServer) -> None:
    """Move key pairs and buckets into files, with the owner and mode that the page names.

    The API gets another port of metrics, which no other service must take for its own.
    """
    access = {"endpoint_url": s3.endpoint_url, "access_key": s3.access_key, "secret_key": s3.secret_key}
    for name, content in {"credentials": [KEY], "buckets": {BUCKET: access}}.items():
        path = f"/etc/stemline/{name}.json"
        machine.run(f"install -o root -g stemline -m 0640 /dev/null {path}")
        machine.write(path, json.dumps(content))
    machine.run(
        """
        sed -i /STEMLINE_BUCKETS/d /etc/stemline/stemline.env
        sed -i /STEMLINE_CREDENTIALS/d /etc/stemline/credentials.env
        echo STEMLINE_BUCKETS_FILE=/etc/stemline/buckets.json >> /etc/stemline/stemline.env
        echo STEMLINE_CREDENTIALS_FILE=/etc/stemline/credentials.json >> /etc/stemline/stemline.env
        echo STEMLINE_METRICS_PORT=9474 >> /etc/stemline/api.env
        """
    )


def kill_each(machine: Machine) -> None:
    """Kill the main process of every service; systemd starts another one."""
    for service in SERVICES:
        before = property_of(machine, service, "MainPID")
        machine.run(f"kill -KILL {before}")
        eventually(lambda: property_of(machine, service, "MainPID") not in {"0", before}, 180, service)  # noqa: B023
    wait_until_healthy(machine, SERVICES)


def drill(folder: Path, base: Path, network: int) -> None:
    """Install, start, work, kill, work, stop."""
    (folder / "machine").mkdir()
    clock = time.monotonic

    def took(what: str, since: float) -> float:
        print(f"{what:<60} {clock() - since:6.1f} s", flush=True)
        return clock()

    # What STEMLINE_DURABILITY=disk of the example needs.
    valkey = ValkeyServer(folder / "valkey", appendfsync="always")
    s3 = SeaweedServer(folder / "s3")
    began = at = clock()
    with Machine(folder / "machine", base, network) as machine:
        version = machine.run("systemctl --version").splitlines()[0]
        at = took(f"{version} runs as the first process", at)
        try:
            valkey.start()
            s3.start()
            s3.create_bucket(BUCKET)
            before, start = steps()
            machine.put_repository("/srv/stemline")
            machine.run(f"cd /srv/stemline\n{before}", installs=True)
            at = took("the documented steps, packages and weights included", at)
            configure(machine, valkey, s3)
            machine.run(start)
            wait_until_healthy(machine, SERVICES)
            at = took(f"{len(SERVICES)} services are healthy", at)
            users = {
                machine.run(f"stat -c %U /proc/{property_of(machine, each, 'MainPID')}") for each in SERVICES
            }
            assert users == {"stemline\n"}, users
            do_one_job(API, KEY, s3)
            at = took("a job, with its callback", at)
            are_scraped()
            said = machine.run(doctor(), check=False)
            assert "store\tok" in said, said
            assert "kernels\tok" in said, said
            assert "\terror\t" not in said, said
            at = took("metrics of every part, and the doctor with the files of root", at)
            kill_each(machine)
            do_one_job(API, KEY, s3)
            at = took("every main process killed, restarted, and a job", at)
            use_files_of_tenants(machine, s3)
            machine.run("systemctl stop stemline-worker@1; systemctl restart 'stemline-*'")
            machine.run("systemctl start stemline-worker@2")
            wait_until_healthy(machine, ["stemline-api", "stemline-callbacks", "stemline-worker@2"])
            do_one_job(API, KEY, s3)
            at = took("key pairs and buckets in files, a job by a second worker", at)
            machine.run("systemctl stop stemline.target")
            for service in (*SERVICES, "stemline-worker@2"):
                # `systemctl stop` waits for the target alone.
                eventually(lambda: property_of(machine, service, "ActiveState") == "inactive", 250, service)  # noqa: B023
                result = property_of(machine, service, "Result")
                assert result == "success", (service, result, journal(machine, service))
            took("all stopped with their target", at)
        except BaseException:
            print(
                machine.run("systemctl --no-pager --failed; journalctl --no-pager -n 60", check=False)[-8000:]
            )
            raise
        finally:
            s3.stop()
            valkey.stop()
    took("in all", began)


def main() -> None:
    """Run the drill on a machine and in a network of its own."""
    base = make_base(REPOSITORY / "build" / "systemd")
    network = leave_the_network()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # an overlay needs a real disk
        folder = Path(name)
        for each in ("valkey", "s3"):
            (folder / each).mkdir()
        drill(folder, base, network)


if __name__ == "__main__":
    if reason := refusal():
        print(f"systemd is not tried here: {reason}")
        sys.exit(0)
    main()
