"""Structs are known to msgspec before threads decode them."""

import subprocess
import sys

import pytest

FIRST_USES = """
import sys, threading, types
import msgspec
from prism.kit.struct_types import prepare_structs

sys.setswitchinterval(1e-6)
fields = "".join(f"    f{n}: 'dict[str, list[int]] | None' = None\\n" for n in range(30))
source = "import msgspec\\nclass Inner(msgspec.Struct):\\n" + fields
source += "class Outer(msgspec.Struct):\\n    inner: 'Inner | None' = None\\n" + fields
for number in range(100):
    module = sys.modules[f"m{number}"] = types.ModuleType(f"m{number}")
    exec(source, module.__dict__)
    if sys.argv[1] == "prepared":
        prepare_structs()
    start = threading.Barrier(4)

    def decode(kind=module.Outer, start=start):
        start.wait()
        msgspec.json.decode(b'{"inner": {"f29": {"a": [1]}}, "f29": {"a": [1]}}', type=kind)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def first_uses(how):
    return subprocess.run([sys.executable, "-c", FIRST_USES, how], check=False, timeout=120)


def test_threads_decode_a_prepared_struct_at_once():
    assert first_uses("prepared").returncode == 0


@pytest.mark.slow  # when it fails, msgspec was mended, and `prepare_structs` can go
def test_threads_that_first_use_a_struct_at_once_end_the_process():
    assert first_uses("unprepared").returncode != 0
