"""The user data of a machine."""

import gzip
import random
import re
import subprocess
import sys

import msgspec
import pytest
import yaml
from msgspec import structs

from aws_double.rules import Boot as DoubleBoot
from prism.providers.aws.machine.cloudinit.bases import MINIFORGE, SYSTEMS
from prism.providers.aws.machine.cloudinit.document import render
from prism.providers.aws.machine.cloudinit.model import LIMIT
from prism.providers.aws.machine.cloudinit.stopping import stop_program
from prism.templates.model import Service, TemplateInvalid, TemplateParameter
from tests.optional import not_none
from tests.proofs import record
from tests.providers.aws.machine.cloudinit.ordered import (
    KEY,
    LIBRARY,
    LOGINS,
    boot,
    files,
    matrix,
    moved,
    order,
    rendered,
    template,
)

BOOT = "/usr/local/lib/prism/boot"


def config(data):
    return yaml.safe_load(data.text)


def steps(data):
    """The lines of the boot script that are this template's own."""
    return files(data)[BOOT]["content"].partition("\nWORKER=")[2].splitlines()


def step(data, name):
    [line] = [step for step in steps(data) if step.startswith(f"step {name} ")]
    return line.partition("' ")[2].split(maxsplit=1)


def test_user_data_is_compressed_reproducibly():
    first, two = rendered(LIBRARY["streamlit-app"]), rendered(LIBRARY["streamlit-app"])
    assert gzip.decompress(first.gzipped).decode() == first.text
    assert first == two
    assert first.gzipped[4:8] == bytes(4)  # no time in it
    assert first.text.startswith("#cloud-config\n")


def test_user_data_of_some_templates_is_below_half_of_the_limit():
    assert max(len(data.gzipped) for _, data in matrix(7)) < LIMIT // 2


@pytest.mark.slow
def test_user_data_of_every_template_is_below_half_of_the_limit():
    sizes = {name: len(data.gzipped) for name, data in matrix()}
    largest = max(sizes, key=sizes.__getitem__)
    assert sizes[largest] < LIMIT // 2
    rstudio = sum("rstudio" in template.packages.get("conda", ()) for template in LIBRARY.values())
    assert rstudio == 2
    assert len(sizes) == len(LIBRARY) * len(SYSTEMS) * 2 - rstudio * 7
    record(
        "User data of the templates",
        f"{len(sizes)} documents for {len(LIBRARY)} templates on {len(SYSTEMS)} bases and two "
        f"architectures take {min(sizes.values()):,} to {sizes[largest]:,} bytes compressed "
        f"(largest: {largest}). EC2 accepts {LIMIT:,}.",
    )


def test_user_data_over_the_limit_is_refused_naming_the_longest_command():
    noise = random.Random(7).randbytes(20000).hex()
    tested_template = template(post_install=("true", f"cat <<'E'\n{noise}\nE"))
    with pytest.raises(TemplateInvalid) as refused:
        rendered(tested_template)
    problem = refused.value
    too_many = int(
        not_none(re.search(r"is ([\d,]+) bytes too long", problem.message))[1].replace(",", "")
    )
    size = int(
        not_none(re.match(r"([\d,]+) bytes compressed", problem.details))[1].replace(",", "")
    )
    assert size - too_many == LIMIT
    assert "`post_install[1]` (40,0" in problem.remediation


@pytest.mark.parametrize(("base", "login"), LOGINS.items())
def test_users_of_the_template_become_accounts_with_the_key(base, login):
    shell = moved(structs.replace(LIBRARY["plain-shell"], users=("guest", "researcher")), base)
    document = config(rendered(shell))
    default, guest, worker = document["users"]
    assert default == "default"
    assert (guest["name"], worker["name"]) == ("guest", "researcher")
    assert "sudo" not in guest
    assert worker["sudo"] == "ALL=(ALL) NOPASSWD:ALL"
    assert all(
        user["lock_passwd"] and user["ssh_authorized_keys"] == [KEY] for user in (guest, worker)
    )
    assert document["ssh_authorized_keys"] == [KEY]
    assert document["ssh_pwauth"] is False
    alone = config(rendered(structs.replace(shell, users=(login,))))
    assert alone["users"] == ["default"]
    nobody = rendered(structs.replace(shell, users=()))
    assert f"WORKER={login} WORKER_HOME=/home/{login}" in nobody.text


def test_template_without_a_base_is_rendered_for_ubuntu_22_04():
    shell = structs.replace(LIBRARY["plain-shell"], base=None)
    assert rendered(shell).text == rendered(structs.replace(shell, base="ubuntu-22.04")).text


@pytest.mark.parametrize("name", ["root", "Adm", "a b", "x;reboot", ""])
def test_invalid_user_name_is_refused(name):
    with pytest.raises(TemplateInvalid):
        rendered(template(users=(name,)))


@pytest.mark.parametrize("base", ["ubuntu-24.04", "ubuntu-22.04", "debian-12"])
def test_apt_installs_the_packages_of_the_template_and_python_tools(base):
    deep_learning = structs.replace(LIBRARY["deep-learning-gpu"], base=base)
    deep_learning = structs.replace(
        deep_learning, packages=deep_learning.packages | {"apt": ("htop",)}
    )
    program, names = step(rendered(deep_learning), "packages")
    ours = "ca-certificates curl python3-pip python3-venv"
    assert (program, names) == ("with_apt", f"{ours} htop")
    assert step(rendered(deep_learning), "python")[1].startswith(
        "python3 jupyterlab torch torchvision"
    )


@pytest.mark.parametrize("base", ["rocky-9", "amazon-linux-2023"])
def test_dnf_installs_python_3_12(base):
    data_science = moved(LIBRARY["data-science-pip"], base)
    assert step(rendered(data_science), "packages") == ["with_dnf", "python3.12 python3.12-pip"]
    assert step(rendered(data_science), "python")[1].startswith("python3.12 jupyterlab ")


def test_dnf_installs_groups_by_name_and_epel_release_first():
    rocky = LIBRARY["rocky9-base"]
    assert step(rendered(rocky), "packages") == ["with_dnf", "dnf @system-tools"]
    more = structs.replace(rocky, packages={"dnf": ("htop", "epel-release")})
    [first] = [
        step for step in steps(rendered(more)) if step.startswith("step packages-epel-release ")
    ]
    assert first.endswith("with_dnf epel-release")
    assert step(rendered(more), "packages") == ["with_dnf", "htop"]
    amazon = structs.replace(rocky, base="amazon-linux-2023")
    assert step(rendered(amazon), "packages") == ["with_dnf", "dnf system-tools"]


@pytest.mark.parametrize(("base", "manager"), [("rocky-9", "apt"), ("debian-12", "dnf")])
def test_package_manager_that_the_base_lacks_is_refused(base, manager):
    with pytest.raises(TemplateInvalid, match=f"{manager} packages cannot be installed"):
        rendered(template(base=base, packages={manager: ("git",)}, package_manager=manager))


@pytest.mark.parametrize(("architecture", "word"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_conda_is_installed_from_a_url_with_a_checksum(architecture, word):
    data = rendered(LIBRARY["bioinformatics"], architecture=architecture)
    installer = MINIFORGE[architecture]
    assert installer.url.endswith(f"-Linux-{word}.sh")
    assert re.fullmatch("[0-9a-f]{64}", installer.sha256)
    program, arguments = step(data, "conda")
    start = f"{installer.url} {installer.sha256} -c conda-forge -c bioconda jupyterlab biopython"
    assert program == "with_conda"
    assert arguments.startswith(start)
    assert "bioconda::samtools" in arguments
    # `pip` beside it is what a local workspace gets instead
    assert not [step for step in steps(data) if step.startswith("step python")]
    assert (
        'PATH="/home/researcher/miniconda3/bin:/home'
        in files(data)["/etc/prism/jupyter.env"]["content"]
    )


def test_pip_beside_conda_uses_the_python_of_conda():
    packages = {"conda": ("gdal",), "pip": ("rasterio",)}
    data = rendered(template(users=("ada",), package_manager="pip", packages=packages))
    assert step(data, "python") == ["with_pip", "/home/ada/miniconda3/bin/python rasterio"]


@pytest.mark.parametrize("base", SYSTEMS)
def test_hibernation_agent_and_unit_are_included_only_if_requested(base):
    shell = moved(LIBRARY["plain-shell"], base)
    awake, sleepy = rendered(shell), rendered(shell, hibernation=True)
    wants = base in {"ubuntu-22.04", "amazon-linux-2023"}
    assert ("ec2-hibinit-agent" in sleepy.text) is wants
    assert "hibinit" not in awake.text
    assert "/etc/systemd/system/prism-woken.service" in files(sleepy)
    assert ["systemctl", "enable", "prism-boot.service", "prism-woken.service"] in config(sleepy)[
        "runcmd"
    ]
    assert "woken" not in awake.text


def test_boot_markers_are_in_the_order_of_the_boot():
    rule = DoubleBoot()
    markers = [
        match.strip() for match in re.findall(rule.marker, rendered(LIBRARY["r-shiny"]).text)
    ]
    assert markers == [
        "prism-boot: begin",
        "prism-boot: packages",
        "prism-boot: failed packages",
        "prism-boot: failed packages",  # RStudio's own
        "prism-boot: conda",
        "prism-boot: failed conda",
        "prism-boot: post-install",
        "prism-boot: failed post-install 1",
        "prism-boot: services",
        "prism-boot: failed service rstudio",
        "prism-boot: failed service shiny",
        "prism-boot: ready",
    ]


@pytest.mark.parametrize("slug", LIBRARY)
def test_last_boot_marker_of_every_template_is_ready(slug):
    rule = DoubleBoot()
    markers = [match.strip() for match in re.findall(rule.marker, rendered(LIBRARY[slug]).text)]
    assert markers[0] == "prism-boot: begin"
    assert [marker for marker in markers if not re.search(rule.failure, marker)][
        -1
    ] == "prism-boot: ready"
    assert markers[-1] == "prism-boot: ready"


def test_secret_is_in_one_file_that_only_root_reads():
    machine_order = order(LIBRARY["jupyterlab"])
    config = boot(machine_order)
    data = render(machine_order, config)
    token = config.tokens["jupyter"]
    [place] = [path for path, file in files(data).items() if token in file["content"]]
    assert place == "/etc/prism/jupyter.env"
    assert files(data)[place]["permissions"] == "0600"
    assert f'JUPYTER_TOKEN="{token}"' in files(data)[place]["content"]
    assert data.text.count(token) == 1


def test_token_in_the_command_of_a_service_is_refused():
    service = Service(command="serve --token {token} --port {port}", port=8000)
    with pytest.raises(TemplateInvalid) as refused:
        rendered(template(services={"web": service}, ports=(8000,)))
    assert "process list" in refused.value.details


def test_boot_waits_only_for_services_with_a_health_path():
    services = {
        "quiet": Service(command="true", port=8000),
        "web": Service(command="true", port=8001, health="/ok?a=b&c"),
    }
    lines = steps(rendered(template(services=services)))
    assert "serve prism-service-quiet.service prism-service-web.service" in lines
    [waiting] = [line for line in lines if line.startswith("answer ")]
    assert waiting == (
        "answer 'prism-boot: failed service web' prism-service-web.service "
        "'http://127.0.0.1:8001/ok?a=b&c'"
    )


def test_digest_of_a_step_changes_only_with_its_content():
    def digests(template):
        lines = [step for step in steps(rendered(template)) if step.startswith("step ")]
        return {line.split()[1]: line.split()[2] for line in lines}

    tested_template = template(
        package_manager="pip", packages={"pip": ("a",)}, post_install=("x", "y")
    )
    two = structs.replace(tested_template, packages={"pip": ("b",)}, post_install=("x", "z"))
    first, second = digests(tested_template), digests(two)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"python", "post-install-2"}
    assert first["post-install-1"] != first["post-install-2"]


def test_parameters_are_filled_in_from_the_launch_or_by_default():
    data = rendered(LIBRARY["streamlit-app"])
    unit = files(data)["/etc/systemd/system/prism-service-streamlit.service"]["content"]
    assert "streamlit run /home/researcher/app.py --server" in unit
    assert "--browser.serverAddress=demo.localhost" in unit
    other = rendered(LIBRARY["streamlit-app"], {"app": "two.py"})
    assert "/home/researcher/two.py" in other.text


def test_boolean_parameter_is_filled_in_as_lower_case_true():
    service = Service(command="run {parameters.loud} {parameters.level} {none}", port=8000)
    parameters = {
        "loud": TemplateParameter(type="boolean"),
        "level": TemplateParameter(type="number", default=1.5),
    }
    data = rendered(template(services={"a": service}, parameters=parameters), {"loud": True})
    assert 'ExecStart=/usr/bin/env -- run true 1.5 "{none}"' in data.text


def test_hostname_is_set_only_if_the_workspace_name_is_valid():
    tested_template = template()
    assert config(rendered(tested_template))["hostname"] == "demo"
    data = rendered(tested_template, name="My Größe: x")
    assert "hostname" not in config(data)


def test_expiry_timer_is_enabled_at_the_first_boot():
    data = rendered(template())
    assert ["systemctl", "enable", "--now", "prism-ttl.timer"] in config(data)["runcmd"]
    assert "prism:ttl" in data.text  # by which the double knows that its machine does


def test_decoded_order_renders_the_same_user_data():
    machine_order = order(LIBRARY["streamlit-app"], {"app": "x.py"})
    again = msgspec.json.decode(msgspec.json.encode(machine_order), type=type(machine_order))
    assert render(again, boot(again)) == render(machine_order, boot(machine_order))


def test_cloudinit_modules_do_not_import_boto3_or_asyncssh():
    names = "document model tokens"
    code = "".join(
        f"import prism.providers.aws.machine.cloudinit.{word}\n" for word in names.split()
    )
    code += "import sys; assert not {'boto3', 'botocore', 'asyncssh'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stop_program_is_written_only_on_spot_machines(tmp_path):
    """AWS does not document that powering off stops a machine of a persistent request."""
    tested_template = template()
    assert "/usr/local/lib/prism/stop" not in files(rendered(tested_template))
    program = files(rendered(tested_template, spot=True))["/usr/local/lib/prism/stop"]
    assert (program["permissions"], program["content"]) == ("0755", stop_program())


def test_repeated_setup_removes_the_semaphores_of_written_files(tmp_path):
    """`cloud-init-per instance NAME` does nothing where its semaphore is there."""
    root, noted = tmp_path / "root", tmp_path / "root/var/lib/cloud/instance/sem"
    noted.mkdir(parents=True)
    for name in ("bootper.prism_0a1b.instance", "config_write_files", "config_ssh"):
        (noted / name).touch()
    [*_, script] = config(rendered(template(), again=True))["bootcmd"][0]
    script = re.sub(r" /", f" {root}/", script)
    subprocess.run(["sh", "-c", script.replace("systemctl ", "true ")], check=True)
    assert [path.name for path in noted.iterdir()] == ["config_ssh"]
