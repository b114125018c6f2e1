"""Types are known to msgspec before threads decode them."""

import subprocess
import sys

import pytest

BASES = {
    "struct": ("msgspec.Struct", ""),
    "named tuple": ("typing.NamedTuple", ""),
    "typed dictionary": ("typing.TypedDict", ", total=False"),
    "dataclass": ("", "@dataclasses.dataclass"),
}
# Modules as Prism's are, imported one after the other while threads wait, or all before.
FIRST_USES = """
import importlib, pathlib, sys, threading
import msgspec
from prism.kit.struct_types import prepare_types

folder, base, extra, when = sys.argv[1:]
sys.setswitchinterval(1e-6)
decorator, options = (extra, "") if extra.startswith("@") else ("", extra)
bases = f"({base}{options})" if base else ""
default = "" if options else " = None"
fields = "".join(f"    f{n}: 'dict[str, list[int]] | None'{default}\\n" for n in range(30))
source = "import dataclasses, typing, msgspec\\n"
source += f"{decorator}\\nclass Inner{bases}:\\n{fields}"
source += f"{decorator}\\nclass Outer{bases}:\\n    inner: 'Inner | None'{default}\\n{fields}"
import prism
prism.__path__.append(folder)
names = [f"prism.late{number}" for number in range(100)]
for name in names:
    pathlib.Path(folder, name.rpartition(".")[2] + ".py").write_text(source)
if when == "imported after":
    prepare_types()
kinds = [importlib.import_module(name).Outer for name in names]
if when == "imported before":
    prepare_types()
inner, outer = ({}, {"inner": {}}) if base != "typing.NamedTuple" else ([], [[]])
text = msgspec.json.encode(outer)
for kind in kinds:
    start = threading.Barrier(4)

    def decode(kind=kind, start=start):
        start.wait()
        msgspec.json.decode(text, type=kind)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def first_uses(folder, kind, when):
    argv = [sys.executable, "-c", FIRST_USES, str(folder), *BASES[kind], when]
    return subprocess.run(argv, check=False, timeout=120).returncode


@pytest.mark.parametrize("when", ["imported before", "imported after"])
@pytest.mark.parametrize("kind", BASES)
def test_threads_decode_a_prepared_type_at_once(tmp_path, kind, when):
    assert first_uses(tmp_path, kind, when) == 0


@pytest.mark.slow  # when it fails, msgspec was mended, and `prepare_types` can go
@pytest.mark.parametrize("kind", BASES)
def test_threads_that_first_use_a_type_at_once_end_the_process(tmp_path, kind):
    assert first_uses(tmp_path, kind, "not prepared") != 0
