"""What the local provider offers and refuses."""

import pytest

from prism.catalog.plan import machine_type
from prism.errors import ValidationFailed
from prism.providers.local import offer as module
from prism.providers.local.offer import LocalOffer
from prism.templates.model import Service, Template, TemplateInvalid
from prism.workspaces.model import LaunchRequest
from tests.optional import not_none

ORDER = LaunchRequest(name="mine", template="t")
HERE = LocalOffer("local:here:/home")


def test_template_that_cannot_run_locally_is_refused_with_a_remediation():
    serving = {"rstudio": Service(command="rserver", port=8787, requires=("no-such-program",))}
    template = Template(name="R", services=serving)
    with pytest.raises(TemplateInvalid) as refused:
        HERE.accept(template, machine_type("t3.small"), ORDER)
    assert "no-such-program" in refused.value.details
    assert "prism template list" in refused.value.remediation
    foreign = Template(name="apt", package_manager="apt", packages={"apt": ("r-base",)})
    with pytest.raises(TemplateInvalid, match="does not run on this machine"):
        HERE.accept(foreign, machine_type("t3.small"), ORDER)


def test_gpu_type_is_refused_without_a_gpu(monkeypatch):
    gpu, template = machine_type("g4dn.xlarge"), Template(name="t")
    monkeypatch.setattr(module, "on_path", lambda _: False)
    with pytest.raises(ValidationFailed) as refused:
        HERE.accept(template, gpu, ORDER)
    assert "GPU" in refused.value.details
    monkeypatch.setattr(module, "on_path", lambda _: True)
    HERE.accept(template, gpu, ORDER)


def test_launch_options_without_effect_are_noted():
    order = LaunchRequest(
        name="mine", template="t", spot=True, region="us-west-2", open_ports=True
    )
    notes = " ".join(HERE.accept(Template(name="t"), machine_type("c6i.8xlarge"), order))
    assert {"spot", "us-west-2", "vCPUs", "ports"} <= {*notes.replace(":", "").split()}


def test_price_is_zero_or_simulated():
    kind = machine_type("t3.medium")
    assert HERE.price(kind, spot=False) == (0, "local")
    simulated = LocalOffer("local:here:/home", simulated=True)
    hourly, source = simulated.price(kind, spot=False)
    assert hourly == 41_600
    assert source and source.startswith("simulated: ") and "us-east-1" in source


def test_expected_machine_id_is_derived_from_the_key():
    assert HERE.expected_id("ws_1") == HERE.expected_id("ws_1") != HERE.expected_id("ws_2")
    prefix, _, digits = not_none(HERE.expected_id("ws_1")).partition("-")
    assert (prefix, len(digits), int(digits, 16) > 0) == ("local", 17, True)
