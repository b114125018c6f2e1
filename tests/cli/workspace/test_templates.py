"""`prism template`."""

import json

INFO = {
    "name": "Child",
    "description": "d",
    "inherits": ["A", "B"],
    "resolved_packages": ["numpy", "scipy"],
    "resolved_users": ["ada"],
    "resolved_ports": [22, 8888],
    "dependency_chain": ["A → Child", "B → Child"],
    "validation_status": "validated",
    "troubleshooting_guide": "",
    "runs_locally": False,
    "local_reasons": ["needs conda"],
    "base": "ubuntu-22.04",
    "base_updates_until": "2027-04-30",
    "resolved": {
        "size": "M",
        "services": {"jupyter": {}},
        "parameters": {"n": {"type": "integer", "default": 4}},
    },
}


def test_template_list_prints_status_and_local_availability(prism, server):
    template = {"name": "Child", "validation_status": "validated", "description": "d"}
    both = [template | {"runs_locally": runs} for runs in (True, False)]
    server.on("GET /templates", both, [])
    assert [line.split() for line in prism("template", "list").stdout.splitlines()] == [
        ["NAME", "STATUS", "HERE", "DESCRIPTION"],
        ["Child", "validated", "yes", "d"],
        ["Child", "validated", "no", "d"],
    ]
    assert "`prism template validate`" in prism("template", "list").stderr
    server.on("GET /templates", both)
    assert "why not: `prism template info NAME`" in prism("template", "list").stderr


def test_template_info_prints_the_resolved_template(prism, server):
    server.on("GET /templates/C%2B%2B%20%28x%29/info", INFO)
    output = prism("template", "info", "C++ (x)").stdout
    assert "A, B\n" in output
    assert "needs conda\n" in output
    assert "ubuntu-22.04, with security updates until 2027-04-30\n" in output
    assert "n (integer, default 4)\n" in output
    assert json.loads(prism("template", "info", "C++ (x)", "--json").stdout) == INFO


def test_template_validate_prints_issues_and_fails(prism, server):
    issue = {"check": "fields", "level": "error", "message": "no port", "where": "a.yml:3: port"}
    results = [
        {"template": "A", "status": "invalid", "checks_passed": 7, "issues": [issue]},
        {"template": "B", "status": "valid", "checks_passed": 8, "issues": []},
    ]
    validation = {
        "total_templates": 2,
        "validated": 1,
        "errors": ["e"],
        "validation_results": results,
    }
    server.on("GET /templates/validate", validation)
    done = prism("template", "validate")
    assert done.returncode == 1
    assert done.stderr == (
        "error: a.yml:3: port: no port\nerror: 1 of 2 templates are not valid\n"
    )
    server.on("GET /templates/validate", validation | {"validated": 2})
    assert prism("template", "validate").returncode == 0


def test_template_validate_packages_requests_the_package_check(prism, server):
    issue = {"check": "packages-exist", "level": "error", "message": "no such", "where": "a.yml:3"}
    results = [{"template": "A", "status": "invalid", "checks_passed": 7, "issues": [issue]}]
    validation = {
        "total_templates": 1,
        "validated": 0,
        "errors": [],
        "validation_results": results,
    }
    server.on("GET /templates/validate?packages=true", validation)
    done = prism("template", "validate", "--packages")
    assert (done.returncode, "error: a.yml:3: no such" in done.stderr) == (1, True)
    done = prism("template", "validate", "--packages", "--json")
    assert json.loads(done.stdout) == validation
    assert "Asking" not in done.stderr


def test_template_info_yaml_prints_the_file_unchanged(prism, server):
    yaml = "name: C++ (x)\n# a comment stays\ndescription: |\n  two\n  lines\n"
    template = {"name": "C++ (x)", "file": "/t/c.yml", "source": "user", "yaml": yaml}
    server.on("GET /templates/C%2B%2B%20%28x%29/yaml", template)
    assert prism("template", "info", "C++ (x)", "--yaml").stdout == yaml
    assert json.loads(prism("template", "info", "C++ (x)", "--yaml", "--json").stdout) == template
