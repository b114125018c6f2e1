"""msgspec's knowledge of each type that it decodes into, before threads use it."""

import dataclasses
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, is_typeddict

import msgspec

ROOT_PACKAGE = "prism"


def prepare_types() -> None:
    """Make msgspec learn the fields of each type of Prism; call it while one thread runs.

    It learns the fields of a struct, named tuple, typed dictionary or dataclass at the first use,
    and lets other threads run while it resolves annotations: a second thread that decodes the same
    type then reads what is half written, which ends the whole process (segmentation fault;
    msgspec 0.22.0). A module that is imported later is prepared as a part of its import, for which
    other threads wait.
    """
    if not any(isinstance(finder, _PreparingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PreparingFinder())
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == ROOT_PACKAGE:
            _prepare(module)


class _PreparingFinder:
    """Finds modules of Prism as Python does, and prepares the types of each after its import."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] != ROOT_PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_prepare(module: ModuleType) -> None:
                run(module)
                _prepare(module)

            spec.loader.exec_module = run_and_prepare  # type: ignore[method-assign]
        return spec


def _prepare(module: ModuleType) -> None:
    for kind in [*vars(module).values()]:
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _has_fields(kind):
            try:
                msgspec.json.Decoder(kind)
            except (TypeError, NameError):
                continue  # it is only encoded, or names what is imported for type checks alone


def _has_fields(kind: type) -> bool:
    is_named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return (
        issubclass(kind, msgspec.Struct)
        or is_named_tuple
        or is_typeddict(kind)
        or dataclasses.is_dataclass(kind)
    )
