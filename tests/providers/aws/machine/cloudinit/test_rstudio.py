"""RStudio Server: from Posit's package, on loopback, with the password of the working user."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from prism.catalog.plan import machine_type
from prism.providers.aws.machine.cloudinit.bases import RSTUDIO
from prism.providers.aws.machine.cloudinit.document import render
from prism.providers.aws.machine.cloudinit.model import BootConfig
from prism.providers.aws.machine.cloudinit.tokens import tokens
from prism.templates.model import Service, TemplateInvalid
from tests.providers.aws.machine.cloudinit.ordered import (
    KEY,
    LIBRARY,
    LOGINS,
    PRIVATE,
    boot,
    files,
    moved,
    order,
    rendered,
    template,
)
from tests.providers.aws.machine.cloudinit.test_quoting import systemd_words

APT = ["ubuntu-24.04", "ubuntu-22.04", "debian-12"]
DNF = ["rocky-9", "amazon-linux-2023"]
SLUGS = ["r-research", "r-shiny"]
UNIT = "/etc/systemd/system/prism-service-rstudio.service"
LOOSE = "rserver --auth-none=1 --www-address 0.0.0.0 --server-daemonize=1 --auth-timeout-minutes=0"


def steps(data):
    script = files(data)["/usr/local/lib/prism/boot"]["content"]
    lines = (shlex.split(line) for line in script.splitlines() if line.startswith("step "))
    return {words[1]: words[4:] for words in lines}


def unit(data, path=UNIT):
    """The settings in the service section of a unit."""
    section = files(data)[path]["content"].partition("[Service]\n")[2].partition("\n\n")[0]
    return dict(line.split("=", 1) for line in section.splitlines() if not line.startswith("#"))


def serving(command, conda=("rstudio",)):
    """A template with one service."""
    services = {"rstudio": Service(command=command, port=8787)}
    return template(users=("ada",), packages={"conda": conda}, services=services)


@pytest.mark.parametrize("base", APT)
@pytest.mark.parametrize("slug", SLUGS)
def test_rstudio_is_installed_from_the_package_of_posit_instead_of_conda(slug, base):
    did = steps(rendered(structs.replace(LIBRARY[slug], base=base)))
    assert did["packages-rstudio"] == ["with_rstudio", RSTUDIO.url, RSTUDIO.sha256]
    packages = did["conda"][3:]
    assert packages[:5] == ["-c", "conda-forge", "r-base", "r-tidyverse", "r-ggplot2"]
    assert "rstudio" not in packages
    assert list(did).index("packages-rstudio") > list(did).index("packages")


def test_pinned_rstudio_has_a_url_of_posit_and_a_sha256():
    assert re.fullmatch(
        r"https://download2\.rstudio\.org/server/jammy/amd64/rstudio-server-[\d.-]+-amd64\.deb",
        RSTUDIO.url,
    )
    assert re.fullmatch("[0-9a-f]{64}", RSTUDIO.sha256)


def test_packages_of_r_research_equal_the_reference():
    packages = LIBRARY["r-research"].packages["conda"]
    assert packages == ("r-base", "rstudio", "r-tidyverse", "r-ggplot2")


def test_rstudio_alone_is_installed_together_with_r():
    assert steps(rendered(serving("rserver")))["conda"][3:] == ["-c", "conda-forge", "r-base"]


def test_rserver_runs_as_root_on_loopback_with_the_r_of_conda():
    text = unit(rendered(LIBRARY["r-research"]))
    assert text["User"] == "root"
    assert "WorkingDirectory" not in text
    conda = "/home/researcher/miniconda3"
    assert systemd_words(text["ExecStart"]) == [
        *["/usr/bin/env", "-u", "PRISM_PASSWORD", "--", "/usr/lib/rstudio-server/bin/rserver"],
        *["--server-daemonize=0", "--www-address=127.0.0.1", "--www-port=8787", "--auth-none=0"],
        f"--rsession-which-r={conda}/bin/R",
        f"--rsession-ld-library-path={conda}/lib/R/lib:{conda}/lib",
    ]
    assert "# As root: PAM" in files(rendered(LIBRARY["r-research"]))[UNIT]["content"]


def test_other_services_run_as_the_working_user_without_the_password():
    shiny = "/etc/systemd/system/prism-service-shiny.service"
    data = rendered(LIBRARY["r-shiny"])
    assert unit(data, shiny)["User"] == "researcher"
    assert "ExecStartPre" not in unit(data, shiny)
    assert "PRISM_PASSWORD" not in files(data)["/etc/prism/shiny.env"]["content"]


def test_template_cannot_override_the_security_options_of_rserver():
    words = systemd_words(unit(rendered(serving(LOOSE)))["ExecStart"])
    assert words[5:] == [
        "--auth-timeout-minutes=0",
        "--server-daemonize=0",
        "--www-address=127.0.0.1",
        "--www-port=8787",
        "--auth-none=0",
        "--rsession-which-r=/home/ada/miniconda3/bin/R",
        "--rsession-ld-library-path=/home/ada/miniconda3/lib/R/lib:/home/ada/miniconda3/lib",
    ]


@pytest.mark.parametrize(
    ("command", "conda"), [("rserver --x", ("r-base",)), ("my-rserver", ("rstudio",))]
)
def test_other_rserver_gets_no_root_and_no_password(command, conda):
    data = rendered(serving(command, conda))
    assert unit(data)["User"] == "ada"
    assert "PRISM_PASSWORD" not in data.text
    assert "chpasswd" not in data.text
    served = json.loads(files(data)["/etc/prism/services.json"]["content"])
    assert served["services"]["rstudio"]["password"] is False


def test_password_is_in_one_file_that_only_root_reads():
    machine_order = order(LIBRARY["r-shiny"])
    config = boot(machine_order)
    data, secret = render(machine_order, config), config.tokens["rstudio"]
    assert data.text.count(secret) == 1
    place = files(data)["/etc/prism/rstudio.env"]
    assert place["permissions"] == "0600"
    assert f'PRISM_PASSWORD="{secret}"\n' in place["content"]
    served = json.loads(files(data)["/etc/prism/services.json"]["content"])
    assert served["user"] == "researcher"
    assert served["services"]["rstudio"]["password"] is True
    assert served["services"]["rstudio"]["token"] is False
    assert served["services"]["shiny"]["password"] is False


def test_password_is_passed_to_chpasswd_by_standard_input(tmp_path):
    words = systemd_words(unit(rendered(LIBRARY["r-research"]))["ExecStartPre"])
    assert words[:2] == ["/bin/sh", "-c"]
    assert words[2].endswith(" | /usr/sbin/chpasswd")
    requests = tmp_path / "asked"
    program = tmp_path / "chpasswd"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" >"{requests}"\ncat >>"{requests}"\n')
    program.chmod(0o755)
    text = words[2].replace("/usr/sbin/chpasswd", str(program))
    secret = "-w\\n$x%s"  # harder to quote than a real secret
    done = subprocess.run(
        [*words[:2], text], env={"PRISM_PASSWORD": secret}, capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert requests.read_text() == f"0\nresearcher:{secret}\n"


@pytest.mark.parametrize("base", APT)
def test_ssh_login_by_password_is_disabled(base):
    document = yaml.safe_load(rendered(structs.replace(LIBRARY["r-research"], base=base)).text)
    assert document["ssh_pwauth"] is False
    assert document["disable_root"] is True
    assert all(user["lock_passwd"] for user in document["users"] if user != "default")
    assert "PasswordAuthentication" not in rendered(LIBRARY["r-research"]).text


def test_login_of_the_image_gets_the_password_if_the_template_has_no_users():
    research = structs.replace(LIBRARY["r-research"], users=())
    assert '"ubuntu:$$PRISM_PASSWORD' in unit(rendered(research))["ExecStartPre"].replace("\\", "")


@pytest.mark.parametrize("base", DNF)
@pytest.mark.parametrize("slug", SLUGS)
def test_rstudio_on_a_dnf_base_is_refused_naming_other_bases(slug, base):
    with pytest.raises(TemplateInvalid) as refused:
        rendered(moved(LIBRARY[slug], base))
    problem = refused.value
    assert problem.message == f"RStudio Server cannot be installed on {base}"
    assert "Choose the `base` ubuntu-24.04 or ubuntu-22.04 or debian-12" in problem.remediation


@pytest.mark.parametrize("base", APT)
@pytest.mark.parametrize("slug", SLUGS)
def test_rstudio_on_arm64_is_refused_naming_an_x86_64_type(slug, base):
    with pytest.raises(TemplateInvalid) as refused:
        rendered(structs.replace(LIBRARY[slug], base=base), architecture="arm64")
    problem = refused.value
    assert problem.message == "RStudio Server cannot be installed on arm64"
    [advised] = re.findall(r"--instance-type ([\w.]+)", problem.remediation)
    assert machine_type(advised).architecture == "x86_64", "the catalog has the advised type"


def test_documentation_names_the_pinned_rstudio_release():
    [release] = re.findall(r"rstudio-server-([\d.]+-\d+)-amd64", RSTUDIO.url)
    page = Path(__file__).parents[5] / "docs" / "aws-machine.md"
    assert f"one pinned release, {release.replace('-', '+')}," in page.read_text()


def test_each_workspace_has_its_own_password():
    passwords = set()
    for key in ("ws-1", "ws-2"):
        machine_order = order(LIBRARY["r-research"], key=key)
        config = BootConfig(
            architecture="x86_64",
            user=LOGINS["ubuntu-24.04"],
            public_key=KEY,
            tokens=tokens(PRIVATE, machine_order),
        )
        passwords.add(files(render(machine_order, config))["/etc/prism/rstudio.env"]["content"])
    assert len(passwords) == 2
