"""Alerts, their tests, their runbook and the dashboard: the files that an operator loads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stemline.workers.metrics import POSTPONED_CODES
from tests.conftest import REPOSITORY, missing

DEPLOY = REPOSITORY / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
CASES = sorted(Path(__file__).parent.glob("alerts*.test.yml"))
RUNBOOK = REPOSITORY / "docs" / "runbook.md"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "stemline.json"


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for rule in everything() if "alert" in rule]


def everything() -> list[dict[str, Any]]:
    """Every alert and every recorded series."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    """Every query of the dashboard, with Grafana's interval filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [text.replace("$__rate_interval", "5m") for text in found]


def promtool(*words: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        missing("promtool (Debian package prometheus)")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["prometheus.yml", "systemd.yml"])
def test_the_configuration_of_prometheus_is_valid(name: str):
    """promtool accepts each configuration and the rules."""
    assert "SUCCESS" in promtool("check", "config", str(DEPLOY / "prometheus" / name))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name)
def test_every_alert_fires_on_its_fault_and_none_on_a_healthy_service(cases: Path):
    """promtool evaluates the alerts on series of each fault and of a healthy service."""
    assert "SUCCESS" in promtool("test", "rules", str(cases))


def test_every_alert_is_tested():
    """For every alert there is a series on which it fires."""
    texts = [path.read_text() for path in CASES]
    fired = {name for text in texts for name in re.findall(r'alertname="(\w+)"', text)}
    for case in (case for text in texts for case in yaml.safe_load(text)["tests"]):
        fired |= {t["alertname"] for t in case.get("alert_rule_test", []) if t["exp_alerts"]}
    assert {rule["alert"] for rule in rules()} == fired


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_has_its_page(rule: dict[str, Any]):
    """An alert describes what happened and links to its own section of the runbook."""
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert RUNBOOK == REPOSITORY / page
    assert rule["alert"].lower() == anchor
    assert {"summary", "description"} <= rule["annotations"].keys()
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    section = RUNBOOK.read_text().partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
    for part in ("**Means:**", "**Clients notice:**", "**Look:**", "**Fix:**"):
        assert part in section, part


def test_the_runbook_has_no_other_alerts():
    """No section of the runbook is about an alert that no longer exists."""
    assert {rule["alert"] for rule in rules()} == set(
        re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    )


def test_the_runbook_names_settings_that_exist():
    """Every variable that the runbook names is a setting."""
    settings = (REPOSITORY / "docs" / "settings.md").read_text()
    named = set(re.findall(r"STEMLINE_[A-Z_]+", RUNBOOK.read_text()))
    assert set() == {name for name in named if f"`{name}`" not in settings}


def test_the_dashboards_queries_are_valid(tmp_path: Path):
    """Every query of the dashboard is PromQL."""
    found = expressions()
    assert len(found) > 40
    file = tmp_path / "queries.yml"
    named = [{"record": f"query:{number}", "expr": text} for number, text in enumerate(found)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": named}]}))
    promtool("check", "rules", str(file))


def test_the_dashboard_is_about_the_installations_that_are_chosen():
    """Every query of the dashboard is limited by its variables of cluster, namespace and installation."""
    variables = {each["name"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert {"datasource", "cluster", "namespace", "installation"} == variables
    selected = '{cluster=~"$cluster", namespace=~"$namespace", installation=~"$installation"'
    for text in expressions():
        assert len(re.findall(r"stemline_\w+", text)) == text.count(selected), text


@pytest.mark.parametrize("rule", everything(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_keeps_installations_apart(rule: dict[str, Any]):
    """No aggregation of a rule drops the labels that distinguish installations."""
    found = re.findall(r"\b(?:sum|max|min|count)\s*(\(|by \([^)]*\))", rule["expr"])
    matched = re.findall(r"\bon (\([^)]*\))", rule["expr"])
    assert found or matched
    for grouping in found:
        assert grouping.startswith("by (cluster, namespace, installation"), rule["expr"]
    for labels in matched:
        assert re.match(r"\(cluster, namespace, (installation|job, instance)\b", labels), rule["expr"]


def test_the_dashboard_adds_installations_up(tmp_path: Path):
    """Where All is chosen, numbers of the store are sums over installations, not the largest."""
    once = '{cluster=~"$cluster", namespace=~"$namespace", installation=~"$installation"'
    for text in expressions():
        merged = re.search(r"\bmax(?: by \(([^)]*)\))? ?\(", text)
        about_time = re.match(
            r"max( by \(level\) )?\(stemline_(jobs_waiting_age|callbacks_late)_seconds", text
        )
        if merged and not about_time:
            assert (merged[1] or "").startswith("cluster, namespace, installation"), text
    everywhere = [text.replace(once, "{").replace("{, ", "{") for text in expressions()]
    waiting, queues, store = (
        next(text for text in everywhere if part in text)
        for part in ('stemline_jobs{state="Submitted"}', "sum by (level) (max by", "stemline_store_up")
    )
    series = {
        'stemline_jobs{installation="%s",instance="%s",state="Submitted"}': (100, 40),
        'stemline_queue_waiting{installation="%s",instance="%s",bucket="r/m",queue="p",level="0"}': (100, 40),
        'stemline_store_up{installation="%s",instance="%s"}': (1, 0),
    }
    case = {
        "interval": "1m",
        "input_series": [
            {"series": name % (where, process), "values": f"{value}x5"}
            for name, values in series.items()
            for where, value in zip(("a", "b"), values, strict=True)
            for process in ("api-1", "api-2")
        ],
        "promql_expr_test": [
            {"expr": waiting, "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": 140}]},
            {"expr": queues, "eval_time": "3m", "exp_samples": [{"labels": '{level="0"}', "value": 140}]},
            {"expr": store, "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": 0}]},
        ],
    }
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_totals_of_the_store_may_step_back():
    """No query takes a total of the store, which a failover makes smaller, for one that only rises."""
    code = (REPOSITORY / "runtime" / "store_metrics.py").read_text()
    totals = set(re.findall(r'"(stemline_\w+)", "[^"]*", "\w+"\)', code))
    totals |= set(re.findall(r'CounterMetricFamily\(\s*"(stemline_\w+)"', code))
    assert {"stemline_leases_lost", "stemline_callbacks", "stemline_jobs_ended"} <= totals
    names = "|".join(f"{name}_total" for name in totals)
    for text in [*expressions(), *(rule["expr"] for rule in everything())]:
        assert not re.search(rf"\b(rate|irate|increase)\(({names})\b", text), text


def test_every_reason_to_postpone_an_attempt_raises_an_alert():
    """Each code of a postponed attempt belongs to one alert: to faults of workers, or of buckets."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        for pattern in re.findall(r'stemline_attempts_total\{[^}]*code=~"([^"]+)"', rule["expr"]):
            for code in pattern.split("|"):
                found.setdefault(code, set()).add(rule["alert"])
    # What kills the server that decodes may be the source: the attempt counts, and the job ends after a few.
    assert set(POSTPONED_CODES) - {"DecoderCrashed"} <= set(found)
    for code, alerts in found.items():
        assert 1 == len(alerts), (code, alerts)
        of_a_bucket = code.startswith(("Resource", "WriteTarget"))
        assert of_a_bucket == next(iter(alerts)).startswith("StemlineBucket"), code


def test_the_dashboard_fits_its_grid():
    """Panels have unique ids and do not overlap."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_metric_is_described():
    """docs/observing.md names every metric of the API and of the workers, and no others."""
    page = (REPOSITORY / "docs" / "observing.md").read_text()
    code = "".join(
        (REPOSITORY / file).read_text()
        for file in ("runtime/store_metrics.py", "api/metrics.py", "workers/metrics.py")
    )
    defined = set(re.findall(r'"(stemline_[a-z_]+)"', code))
    named = {name.removesuffix("_total") for name in re.findall(r"stemline_[a-z_]+", page)}
    assert {name.removesuffix("_total") for name in defined} == named


def test_scaling_uses_metrics_that_exist():
    """The queries by which the chart scales workers use metrics that exist."""
    asked = "".join(file.read_text() for file in (DEPLOY / "helm").rglob("*.yaml"))
    page = (REPOSITORY / "docs" / "observing.md").read_text()
    names = set(re.findall(r"stemline_[a-z_]+(?=\{)", asked))
    assert names
    assert set() == {name for name in names if f"`{name}`" not in page}
