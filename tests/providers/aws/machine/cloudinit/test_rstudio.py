"""RStudio Server: from Posit's package, on loopback, and behind the worker's own password."""

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
    LOGINS,
    PRIVATE,
    SHELF,
    boot,
    files,
    moved,
    order,
    rendered,
    template,
)
from tests.providers.aws.machine.cloudinit.test_words import systemd_words

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
    """What a unit says of its service, by its names."""
    section = files(data)[path]["content"].partition("[Service]\n")[2].partition("\n\n")[0]
    return dict(line.split("=", 1) for line in section.splitlines() if not line.startswith("#"))


def serving(command, conda=("rstudio",)):
    """A template with one service."""
    services = {"rstudio": Service(command=command, port=8787)}
    return template(users=("ada",), packages={"conda": conda}, services=services)


@pytest.mark.parametrize("base", APT)
@pytest.mark.parametrize("slug", SLUGS)
def test_it_is_its_publisher_s_package_and_conda_is_not_asked(slug, base):
    did = steps(rendered(structs.replace(SHELF[slug], base=base)))
    assert did["packages-rstudio"] == ["with_rstudio", RSTUDIO.url, RSTUDIO.sha256]
    packages = did["conda"][3:]
    assert packages[:5] == ["-c", "conda-forge", "r-base", "r-tidyverse", "r-ggplot2"]
    assert "rstudio" not in packages
    assert list(did).index("packages-rstudio") > list(did).index("packages")


def test_the_pin_is_one_file_of_posit_s_and_a_whole_sum():
    assert re.fullmatch(
        r"https://download2\.rstudio\.org/server/jammy/amd64/rstudio-server-[\d.-]+-amd64\.deb",
        RSTUDIO.url,
    )
    assert re.fullmatch("[0-9a-f]{64}", RSTUDIO.sha256)


def test_the_list_of_the_shelf_stays_as_the_reference_has_it():
    packages = SHELF["r-research"].packages["conda"]
    assert packages == ("r-base", "rstudio", "r-tidyverse", "r-ggplot2")


def test_who_asks_for_it_alone_gets_r_with_it():
    assert steps(rendered(serving("rserver")))["conda"][3:] == ["-c", "conda-forge", "r-base"]


def test_it_runs_as_root_on_loopback_with_conda_s_r():
    text = unit(rendered(SHELF["r-research"]))
    assert text["User"] == "root"
    assert "WorkingDirectory" not in text
    conda = "/home/researcher/miniconda3"
    assert systemd_words(text["ExecStart"]) == [
        *["/usr/bin/env", "-u", "PRISM_PASSWORD", "--", "/usr/lib/rstudio-server/bin/rserver"],
        *["--server-daemonize=0", "--www-address=127.0.0.1", "--www-port=8787", "--auth-none=0"],
        f"--rsession-which-r={conda}/bin/R",
        f"--rsession-ld-library-path={conda}/lib/R/lib:{conda}/lib",
    ]
    assert "# As root: PAM" in files(rendered(SHELF["r-research"]))[UNIT]["content"]


def test_other_services_beside_it_are_the_worker_s():
    shiny = "/etc/systemd/system/prism-service-shiny.service"
    data = rendered(SHELF["r-shiny"])
    assert unit(data, shiny)["User"] == "researcher"
    assert "ExecStartPre" not in unit(data, shiny)
    assert "PRISM_PASSWORD" not in files(data)["/etc/prism/shiny.env"]["content"]


def test_a_template_cannot_open_it_and_may_say_the_rest():
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
def test_whose_rserver_is_not_ours_gets_no_root_and_no_password(command, conda):
    data = rendered(serving(command, conda))
    assert unit(data)["User"] == "ada"
    assert "PRISM_PASSWORD" not in data.text
    assert "chpasswd" not in data.text
    served = json.loads(files(data)["/etc/prism/services.json"]["content"])
    assert served["services"]["rstudio"]["password"] is False


def test_the_secret_is_in_one_file_that_only_root_reads():
    machine_order = order(SHELF["r-shiny"])
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


def test_the_password_is_set_without_anybody_seeing_it(tmp_path):
    words = systemd_words(unit(rendered(SHELF["r-research"]))["ExecStartPre"])
    assert words[:2] == ["/bin/sh", "-c"]
    assert words[2].endswith(" | /usr/sbin/chpasswd")
    requests = tmp_path / "asked"
    program = tmp_path / "chpasswd"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" >"{requests}"\ncat >>"{requests}"\n')
    program.chmod(0o755)
    text = words[2].replace("/usr/sbin/chpasswd", str(program))
    secret = "-w\\n$x%s"  # worse than any of ours
    done = subprocess.run(
        [*words[:2], text], env={"PRISM_PASSWORD": secret}, capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert requests.read_text() == f"0\nresearcher:{secret}\n"


@pytest.mark.parametrize("base", APT)
def test_a_password_opens_nothing_by_ssh(base):
    document = yaml.safe_load(rendered(structs.replace(SHELF["r-research"], base=base)).text)
    assert document["ssh_pwauth"] is False
    assert document["disable_root"] is True
    assert all(user["lock_passwd"] for user in document["users"] if user != "default")
    assert "PasswordAuthentication" not in rendered(SHELF["r-research"]).text


def test_where_a_template_has_no_accounts_the_image_s_own_gets_the_password():
    research = structs.replace(SHELF["r-research"], users=())
    assert '"ubuntu:$$PRISM_PASSWORD' in unit(rendered(research))["ExecStartPre"].replace("\\", "")


@pytest.mark.parametrize("base", DNF)
@pytest.mark.parametrize("slug", SLUGS)
def test_where_there_is_no_package_of_it_the_way_out_is_said(slug, base):
    with pytest.raises(TemplateInvalid) as refused:
        rendered(moved(SHELF[slug], base))
    problem = refused.value
    assert problem.message == f"RStudio Server cannot be installed on {base}"
    assert "Choose the `base` ubuntu-24.04 or ubuntu-22.04 or debian-12" in problem.remediation


@pytest.mark.parametrize("base", APT)
@pytest.mark.parametrize("slug", SLUGS)
def test_other_processors_are_refused_with_a_type_that_would_do(slug, base):
    with pytest.raises(TemplateInvalid) as refused:
        rendered(structs.replace(SHELF[slug], base=base), architecture="arm64")
    problem = refused.value
    assert problem.message == "RStudio Server cannot be installed on arm64"
    [advised] = re.findall(r"--instance-type ([\w.]+)", problem.remediation)
    assert machine_type(advised).architecture == "x86_64", "and the catalog has it"


def test_its_page_names_the_release_that_is_installed():
    [release] = re.findall(r"rstudio-server-([\d.]+-\d+)-amd64", RSTUDIO.url)
    page = Path(__file__).parents[5] / "docs" / "aws-machine.md"
    assert f"one pinned release, {release.replace('-', '+')}," in page.read_text()


def test_another_workspace_has_another_password():
    passwords = set()
    for key in ("ws-1", "ws-2"):
        machine_order = order(SHELF["r-research"], key=key)
        config = BootConfig(
            architecture="x86_64",
            user=LOGINS["ubuntu-24.04"],
            public_key=KEY,
            tokens=tokens(PRIVATE, machine_order),
        )
        passwords.add(files(render(machine_order, config))["/etc/prism/rstudio.env"]["content"])
    assert len(passwords) == 2
