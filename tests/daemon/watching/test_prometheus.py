"""The dashboard and the alert rules in `deploy/`, with a real daemon and a real Prometheus."""

import json
import re
import subprocess
from contextlib import contextmanager
from functools import partial

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import free_port
from tests.daemon.test_main import Daemon
from tests.project.tree import ROOT
from tests.waiting import eventually

DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
RULES = ROOT / "deploy" / "prometheus-alerts.yml"
METRIC = re.compile(r"\b(?:prism|process)_\w+")
LABELS = re.compile(r"(?:by|without) \(([^)]*)\)|\{([^}]*)\}")
TEAM = {"PRISM_AUTH": "tokens", "PRISM_PUBLIC_URL": "https://prism.example.org"}
WITHOUT_DATA = {
    "prism_aws_calls_total": "nothing is called at AWS here",
    "prism_oldest_unfinished_request_seconds": "nothing is under way",
    "prism_workspaces": "no workspace was launched",
    "prism_project_left_dollars": "no project has a budget",
}


def dashboard_queries():
    """Every query of the dashboard, for all jobs."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(queries) >= 15
    return [query.replace("$job", ".*") for query in queries]


def alert_queries():
    """The condition of every alert."""
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A shared daemon at all addresses, and a token for its metrics."""
    daemon = Daemon(tmp_path_factory.mktemp("watched") / "home")
    port = str(free_port())
    with daemon.running(**TEAM, PRISM_HOST="0.0.0.0", PRISM_PORT=port):
        socket = httpx.HTTPTransport(uds=str(daemon.home / "prism.sock"))
        with httpx.Client(transport=socket, base_url="http://localhost", timeout=60) as operator:
            order = {"name": "prometheus", "scope": "metrics"}
            token = operator.post("/api/v1/tokens", json=order).json()["token"]
            operator.post("/api/v1/projects", json={"name": "reef"})
        yield f"127.0.0.2:{port}", token


@pytest.fixture(scope="module")
def families(watched):
    address, token = watched
    answer = httpx.get(
        f"http://{address}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def names_of(families):
    """The names of the samples that families have."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        name + suffix
        for name, family in families.items()
        for suffix in suffixes.get(family.type, ("",))
    }


@pytest.mark.parametrize("query", [*dashboard_queries(), *alert_queries()])
def test_every_metric_of_the_dashboard_and_the_alerts_exists(query, families):
    if re.match(r"up\b", query):
        return  # Prometheus's own
    used = set(METRIC.findall(query))
    assert used
    assert used - names_of(families) == set()


@pytest.mark.parametrize("query", [*dashboard_queries(), *alert_queries()])
def test_every_label_of_the_dashboard_and_the_alerts_exists(query, families):
    used = set()
    for grouped, matched in LABELS.findall(query):
        used |= {word.strip() for word in grouped.split(",") if word}
        used |= set(re.findall(r"(\w+)[=!]", matched))
    base = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in METRIC.findall(query)}
    samples = [sample for name in base for sample in families[name].samples] if base else []
    known = {label for sample in samples for label in sample.labels}
    if samples:  # else there is nothing to compare with
        assert used - known - {"job", "instance"} == set()


def test_alert_rules_are_valid_and_explain_themselves():
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_alert_rules():
    result = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"{len(alert_queries())} rules found" in result.stdout


@contextmanager
def prometheus(folder, target, token):
    """A real Prometheus that scrapes a daemon each second; yields how to query it."""
    (folder / "token").write_text(token)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "prism",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [target]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *arguments], stderr=log, stdout=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            def query(text):
                answer = client.get("/api/v1/query", params={"query": text})
                assert answer.status_code == 200, (text, answer.text)
                return answer.json()["data"]["result"]

            eventually(lambda: is_up(client))
            yield query
    finally:
        process.terminate()
        process.wait(60)


def is_up(client):
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.needs("prometheus")
def test_a_real_prometheus_scrapes_and_answers_every_query(tmp_path, watched):
    with prometheus(tmp_path, *watched) as query:
        eventually(lambda: [sample["value"][1] for sample in query("up")] == ["1"])
        eventually(lambda: query("rate(prism_http_requests_total[5m]) > 0"))
        for text in dashboard_queries():
            if not WITHOUT_DATA.keys() & set(METRIC.findall(text)):
                eventually(partial(query, text))
            query(text)
        for text in alert_queries():
            if "prism_disk_free_bytes" not in text:
                assert query(text) == [], "a daemon without trouble raises no alert"
        assert query('prism_project_spent_dollars{project="reef"}'), "it is the operator's token"


@pytest.mark.needs("prometheus")
def test_a_daemon_that_is_gone_raises_the_alert(tmp_path):
    target = f"127.0.0.1:{free_port()}"
    with prometheus(tmp_path, target, "x") as query:
        [condition] = [text for text in alert_queries() if text.startswith("up")]
        eventually(lambda: query(condition))
