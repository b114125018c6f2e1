"""The rules of the project that its files must follow."""

import ast
import json
import re
import tokenize
import tomllib
from collections import Counter, defaultdict

import pytest

from prism.profiles import providers
from prism.profiles.providers import TRAITS, provider_of
from tests.optional import not_none
from tests.project.tree import (
    FILES,
    PACKAGE,
    PACKAGES,
    ROOT,
    functions,
    nodes,
    parsed,
    public,
    refuse,
    short,
    tracked,
)

PURE = [f for f in FILES if f.name in {"plan.py", "model.py", "ports.py", "events.py"}]
PURE = [f for f in PURE if f.parent.name in PACKAGES] + [PACKAGE / "errors.py"]
CLOCK = {"now", "utcnow", "today", "monotonic", "time", "perf_counter"}
CATCH_ALL = {"utils", "util", "common", "helper", "helpers", "manager", "base", "misc", "stuff"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PYPROJECT["tool"]
CONTRACTS = {contract["name"]: contract for contract in TOOL["importlinter"]["contracts"]}
# The clock itself, code outside the daemon, and code that compares times of files.
TIMELESS = {"clock.py", "agent", "cli", "client", "folder_setup.py"}
ASKS_THE_DAY = re.compile(r"\b(datetime\.(?:now|utcnow|today)|date\.today|time\.time)\(")
EVERYTHING = {"", "Exception", "BaseException"}
DEFERRED = re.compile(r"# noqa: PLC0415\W+\w{3}")  # with a reason
# Written in two parts, so that this file does not match.
REVISION = re.compile(r'^(?:down_)?revision = "(\d+)"', re.MULTILINE)
REPEATED = re.compile(r"\b([a-z]{2,}) \1\b|[a-z,;:]  +[a-z`]")
MACHINE = re.compile("/" + r"(work|farm|root)/")
REGISTRY = re.compile(r"(pypi|pythonhosted|npmjs|yarnpkg)" + r"\.(org|com)")


def test_a_broken_rule_says_where_and_what_to_do():
    with pytest.raises(pytest.fail.Exception) as failure:
        refuse(["a.py:3: it"], "Name the variable after what it holds")
    assert str(failure.value) == "Name the variable after what it holds:\n  a.py:3: it"


def test_files_and_functions_are_short_and_have_docstrings():
    problems = (f"{short(file)}: {wrong}" for file in FILES for wrong in style_problems(file))
    refuse(problems, "Split by subject what is too long; add docstrings")


def style_problems(file):
    """The parts of a file that are too long or have no docstring."""
    if len(file.read_text().splitlines()) > 600:
        yield "more than 600 lines"
    for node in functions(parsed(file)):
        statements = len(node.body) - (ast.get_docstring(node) is not None)
        # A single statement, such as an answer with a line for each field, cannot be split.
        if not_none(node.end_lineno) - node.lineno >= (60 if statements == 1 else 40):
            yield f"{node.name}: 40 lines or more"
    for part in public(parsed(file)):
        if not ast.get_docstring(part):
            yield f"{getattr(part, 'name', 'the module')}: no docstring"


MAX_MODULES = 30  # in one folder; a larger one is sorted by subject
CHAIN = PACKAGE / "daemon" / "migrations" / "versions"  # one module for each migration


def crowded(folders):
    """Each folder that has too many modules side by side."""
    beside = Counter(file.parent for file in folders if file.name != "__init__.py")
    return [f"{folder}: {count}" for folder, count in beside.items() if count > MAX_MODULES]


def test_no_folder_has_more_modules_than_a_reader_can_survey():
    assert crowded(CHAIN / f"{number}.py" for number in range(31)) == [f"{CHAIN}: 31"]
    files = (file for file in FILES if file.parent != CHAIN)
    refuse(crowded(files), f"Sort by subject: at most {MAX_MODULES} modules in a folder")


@pytest.mark.parametrize("file", PURE, ids=short)
def test_pure_modules_do_not_read_the_time(file):
    called = [node.func for node in nodes(file) if type(node) is ast.Call]
    assert not CLOCK & {getattr(f, "attr", getattr(f, "id", "")) for f in called}


def test_only_the_clock_reads_the_date():
    bound = [file for file in FILES if not {*file.relative_to(PACKAGE).parts} & TIMELESS]
    asking = (
        f"{short(file)}: {hit[0]}"
        for file in bound
        for hit in [*ASKS_THE_DAY.finditer(file.read_text())]
    )
    refuse(asking, "Take the time from a `Clock` of prism.kit.clock, which tests stop")


def test_modules_have_no_vague_names():
    vague = (short(f) for f in FILES if CATCH_ALL & {f.stem, f.parent.name})
    refuse(vague, "Name the module after the thing in it")


def test_imports_inside_functions_have_a_reason():
    hidden = (f"{short(file)}:{line}" for file in FILES for line in hidden_imports(file))
    refuse(hidden, "Import at the top, or write the reason: `# noqa: PLC0415 – because …`")


def hidden_imports(file):
    """The lines of imports in functions without a reason."""
    lines = file.read_text().splitlines()
    for function in functions(parsed(file)):
        for node in ast.walk(function):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if not DEFERRED.search(lines[node.lineno - 1]):
                yield node.lineno


def test_only_the_reconcile_loop_catches_all_exceptions():
    broad = {short(file) for file in FILES for _ in broad_handlers(file)}
    refuse(broad - {short(PACKAGE / "kit" / "reconcile.py")}, "Catch the errors that you expect")


def broad_handlers(file):
    """The handlers that catch every exception and do not raise it again."""
    handlers = (n for n in nodes(file) if type(n) is ast.ExceptHandler)
    return [h for h in handlers if EVERYTHING & names(h.type) and not reraises(h)]


def names(node):
    """The names in an expression; the empty name if there is no expression."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node else {""}


def reraises(handler):
    """Whether it raises the caught exception again."""
    return any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(handler))


@pytest.mark.parametrize("package", PACKAGES)
def test_init_file_of_a_package_has_only_a_docstring(package):
    assert len(parsed(PACKAGE / package / "__init__.py").body) == 1, "it has only a docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_in_the_import_contracts(package):
    [inside] = [c for name, c in CONTRACTS.items() if name.startswith("Inside a package")]
    assert f"prism.{package}" in inside["containers"]
    pure = CONTRACTS["The pure part is pure"]["source_modules"]
    files = [f"prism.{package}.{f.stem}" for f in PURE if f.parent.name == package]
    assert not set(files) - set(pure)


def test_public_class_names_are_unique():
    """A class of the client may have the name of the class that it represents."""
    class_names = [
        node.name
        for file in FILES
        if PACKAGE / "client" not in file.parents
        for node in parsed(file).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    repeated = (name for name, count in Counter(class_names).items() if count > 1)
    refuse(repeated, "Rename all but one of the classes that have the same name")


# Constants that each module of a kind exports, and the kind: a folder, or the name of a file.
CONVENTIONAL = {
    "VERBS": ("cli", "lifecycle.py"),
    "PATH": ("client",),
    "SELECT": ("store.py",),
}


def test_constants_are_named_after_what_they_hold():
    """A name with three values says too little: `PATIENCE` was 14 different numbers of seconds."""
    values = defaultdict[str, dict[str, str]](dict)
    for file in FILES:
        for name, value in constants(file).items():
            if not {*CONVENTIONAL.get(name, ())} & {*file.relative_to(PACKAGE).parts}:
                values[name][short(file)] = value
    vague = (
        f"{file}: {name} = {by_file[file]:.60}"
        for name, by_file in values.items()
        if len({*by_file.values()}) >= 3
        for file in by_file
    )
    refuse(vague, "Name the constant after its thing and unit, as MAX_HEADER_BYTES")


def test_context_variables_have_one_name_each():
    """Two of them were `CURRENT`, for the caller and for the transaction."""
    variables = [
        (name, re.findall(r"^ContextVar\('(\w+)'", value), short(file))
        for file in FILES
        for name, value in constants(file).items()
        if value.startswith("ContextVar(")
    ]
    assert len(variables) >= 4
    times = Counter(name for name, *_ in variables)
    repeated = (f"{file}: {name}" for name, _, file in variables if times[name] > 1)
    refuse(repeated, "Name the context variable after what it holds, as CURRENT_ACTOR")
    differing = (
        f"{file}: {name} is {called}" for name, called, file in variables if called != [name]
    )
    refuse(differing, "Give `ContextVar` the name of the variable, which its repr shows")


def constants(file):
    """The constants of a module, with the text of their last value; type variables, too."""
    if file.parent.name == "versions":
        return {}  # migrations are not changed any more
    named: dict[str, str] = {}
    for node in parsed(file).body:
        if isinstance(node, ast.AnnAssign) and node.value:
            named |= assigned(node.target, node.value)
        elif isinstance(node, ast.Assign):
            named |= assigned(node.targets[0], node.value)
    return {
        name: value
        for name, value in named.items()
        if name.isupper() or value.startswith("TypeVar(")
    }


def assigned(target, value):
    """The names that a statement assigns to, with the texts of their values."""
    if isinstance(target, ast.Name):
        return {target.id: ast.unparse(value)}
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return {name: text for pair in pairs for name, text in assigned(*pair).items()}
    return {}


SKIPS = {"check_untyped_defs", "disable_error_code", "follow_imports", "ignore_errors"}


def test_mypy_checks_every_python_file():
    config = TOOL["mypy"]
    sources = [file.relative_to(ROOT) for file in tracked() if file.suffix == ".py"]
    assert {*config["files"]} == {file.parts[0] for file in sources}
    assert not config.keys() & {"exclude", "modules", "packages", *SKIPS}
    skipped = {
        module
        for override in config["overrides"]
        if override.keys() & SKIPS
        for module in override["module"]
    }
    assert skipped == {"boto3.*", "botocore.*", "moto.*"}, "untyped SDKs"
    assert "\n\t$(BIN)/mypy\n" in (ROOT / "Makefile").read_text(), "it has no arguments"


VAGUE = {"it", "one", "found", "said", "told", "made", "given", "asked", "wanted", "shown"}
VAGUE |= {"kept", "what", "who", "there", "here", "others", "came", "went"}


def test_variables_have_no_vague_names():
    """A vague name is allowed for a field, or a parameter of a lambda on one line."""
    folders = [ROOT / name for name in ("src", "bench", "scripts", "tests")]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    vague = (
        f"{short(file)}:{line}: {name}" for file in files for line, name in vague_variables(file)
    )
    refuse(vague, "Name the variable after what it holds")


def test_checkers_refuse_what_the_oldest_python_lacks():
    """Ruff reads `requires-python` where it has no `target-version`; mypy does not."""
    assert PYPROJECT["project"]["requires-python"] == f">={TOOL['mypy']['python_version']}"
    assert "target-version" not in TOOL["ruff"]


def test_values_are_not_searched_in_enum_classes():
    """Before Python 3.12, `"start" in Verb` raises TypeError, which no checker notices."""
    files = [file for file in tracked() if file.suffix == ".py"]
    classes = [n for file in files for n in nodes(file) if isinstance(n, ast.ClassDef)]
    enums = {node.name for node in classes if any("Enum" in ast.unparse(b) for b in node.bases)}
    assert "LifecycleVerb" in enums
    searched = (f"{short(file)}:{line}" for file in files for line in searches(file, enums))
    refuse(searched, "Search in `{*TheEnum}`, which Python 3.11 can do")


def searches(file, classes):
    """The lines that ask whether a value is `in` one of these classes."""
    compared = [node for node in nodes(file) if isinstance(node, ast.Compare)]
    for node in compared:
        container = getattr(node.comparators[-1], "id", "")
        if isinstance(node.ops[-1], ast.In | ast.NotIn) and container in classes:
            yield node.lineno


def fields_of(node):
    """The fields that a class declares with a type."""
    return [field for field in node.body if isinstance(field, ast.AnnAssign)]


def vague_variables(file):
    """The line and the name of each vague variable of a file."""
    every_node = nodes(file)
    lambdas = [n for n in every_node if isinstance(n, ast.Lambda) and n.lineno == n.end_lineno]
    fine = {argument for node in lambdas for argument in ast.walk(node.args)}
    classes = [node for node in every_node if isinstance(node, ast.ClassDef)]
    fine |= {field.target for node in classes for field in fields_of(node)}  # stored or sent
    for node in every_node:
        if isinstance(node, ast.arg) and node not in fine:
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in fine:
            name = node.id
        else:
            continue
        if name in VAGUE:
            yield node.lineno, name


def test_texts_repeat_no_word_and_no_space():
    texts = ((file, text) for file in FILES for text in [*comments(file), *lines_of_text(file)])
    repeating = {f"{short(file)}: {text}" for file, text in texts if REPEATED.search(text)}
    rsync = {"src/prism/cli/workspace/cp.py: rsync  version 3."}  # it prints two spaces
    refuse(repeating - rsync, "Delete the second word, or the second space")
    assert rsync <= repeating, "the exception is needed"


def comments(file):
    """The comments of a file."""
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def lines_of_text(file):
    """The texts of a file that are one line, with `…` where a value is filled in."""
    for node in nodes(file):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        values = [getattr(part, "value", None) for part in parts]
        text = "".join(value if isinstance(value, str) else "…" for value in values)
        if "\n" not in text:
            yield text


def test_files_name_no_machine_and_no_registry():
    """Locks and docs name packages, not where they come from."""
    texts = {short(file): file.read_bytes().decode("utf-8", "replace") for file in tracked()}
    for pattern, way_out in (
        (MACHINE, "Name no folder of the machine on which you work"),
        (REGISTRY, "Name the package, and not the registry that it comes from"),
    ):
        hits = (
            (name, hit[0]) for name, text in texts.items() for hit in [*pattern.finditer(text)]
        )
        refuse((f"{name}: {hit}" for name, hit in hits), way_out)


def test_tests_do_not_sleep():
    files = (ROOT / "tests").rglob("*.py")
    slept = {f"{short(file)}:{line}" for file in files for line in sleep_lines(file)}
    # The wait of all tests, and a fake daemon that ends slowly.
    may = ("tests/waiting.py:", "tests/cli/fake_prismd.py:")
    refuse(
        (place for place in sorted(slept) if not place.startswith(may)),
        "Wait for a condition with `eventually` of tests.waiting, or move a stopped clock",
    )


def sleep_lines(file):
    """The lines on which a test's file sleeps."""
    if "sleep" in file.read_text():
        calls = (node for node in nodes(file) if type(node) is ast.Call)
        yield from (call.lineno for call in calls if is_sleep(call))


def is_sleep(call):
    """Whether this is `time.sleep`, or more than a moment of `asyncio.sleep`."""
    name = ast.unparse(call.func)
    return name == "time.sleep" or (name == "asyncio.sleep" and not is_short(call.args))


def is_short(args):
    value = args[0].value if args and isinstance(args[0], ast.Constant) else None
    return isinstance(value, int | float) and value < 1


def test_migrations_are_one_chain():
    """Two migrations that were written in parallel must be put in order."""
    folder = PACKAGE / "daemon" / "migrations" / "versions"
    files = sorted(folder.glob("[0-9]*.py"))
    revisions = [REVISION.findall(file.read_text()) for file in files]
    numbers = [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert [revision for (revision, *_) in revisions] == numbers
    assert [file.name[:4] for file in files] == numbers
    assert [before for (_, before, *_) in revisions[1:]] == numbers[:-1]


# Files outside of `providers/` and the wiring that may name a provider, and why.
NAME_PROVIDERS = {
    "profiles/providers.py": "the table of what differs between them",
    "profiles/plan.py": "the profiles of a first start: this machine, and AWS's own sections",
    "daemon/api.py": "`aws_connectivity` is the wire's",
    "daemon/aws.py": "the routes of AWS",
    "cli/workspace/locations.py": "the one place where the command line asks what is local",
    "client/profiles.py": "the default of a new profile",
}
# Files that use these words with another meaning.
ALIKE = {
    "cli/installation/init.py": "whose prices are simulated",
    "cli/registry.py": "the command `prism aws`",
    "cli/workspace/tunnel.py": "the port here",
    "costs/plan.py": "a source of prices",
    "daemon/main.py": "a mode of authentication",
    "settings.py": "a mode of authentication, and whose prices are simulated",
}


CONSTANTS_OF_PROVIDERS = {name for name, value in vars(providers).items() if value in [*TRAITS]}
PROGRAMS = {"ssh"}  # a provider's name that is also a program's, a folder's and a field's


def names_of_providers(file):
    """The lines that compare, list or default to the name of a provider, or compare a constant."""
    for node in nodes(file):
        if isinstance(node, ast.Compare):
            constants = (getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node))
            if CONSTANTS_OF_PROVIDERS & {*constants}:
                yield node.lineno
        if isinstance(node, ast.Compare | ast.Call | ast.Assign | ast.keyword | ast.Tuple):
            for part in ast.walk(node):
                if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
                    continue
                name = provider_of(part.value)
                if name in TRAITS and (name not in PROGRAMS or is_comparison_of_providers(node)):
                    yield part.lineno


def is_comparison_of_providers(node):
    return isinstance(node, ast.Compare) and "provider" in ast.unparse(node)


@pytest.mark.parametrize(
    "code",
    [
        "if profile.provider == LAB_SERVER: pass",
        "if providers.AWS in names: pass",
        "if place['provider'] != 'ssh': pass",
        "serve('local:')",
        "choices = ('aws',)",
    ],
)
def test_check_of_provider_names_sees(code, tmp_path):
    (tmp_path / "module.py").write_text(code)
    assert [*names_of_providers(tmp_path / "module.py")]


def test_provider_names_are_compared_only_in_their_packages():
    """Code that differs by provider uses a trait of `prism.profiles.providers`."""
    exempt = (PACKAGE / "providers", PACKAGE / "daemon" / "wiring", PACKAGE / "agent")
    files = [file for file in FILES if not any(map(file.is_relative_to, exempt))]
    lines = {short(file).removeprefix("src/prism/"): [*names_of_providers(file)] for file in files}
    naming = {name: numbers for name, numbers in lines.items() if numbers}
    problems = {file: numbers for file, numbers in naming.items() if file not in NAME_PROVIDERS}
    refuse(
        (
            f"src/prism/{file}:{line}"
            for file in problems.keys() - ALIKE
            for line in problems[file]
        ),
        "Use a trait of prism.profiles.providers instead of the name",
    )
    assert len(NAME_PROVIDERS) <= 6, "NAME_PROVIDERS becomes shorter, not longer"


def test_folders_of_the_web_gui_hold_one_subject():
    """A folder that holds more than 30 files holds several subjects."""
    folders = Counter(short(f.parent) for f in tracked() if short(f).startswith("web/src/"))
    assert "web/src/features/workspaces" in folders
    large = (f"{folder}: {count} files" for folder, count in folders.items() if count > 30)
    refuse(large, "Sort its files into folders by subject")


NAMES = f"'(?:{'|'.join(TRAITS)})'"
COMPARED_IN_WEB = re.compile(rf"[=!]==? {NAMES}|{NAMES} [=!]==?|case {NAMES}|\[{NAMES}, ")


def test_web_gui_compares_provider_names_in_one_file():
    """`web/src/lib/providers.ts` says what depends on the provider."""
    files = [file for file in tracked() if short(file).startswith("web/src/")]
    files = [file for file in files if file.suffix in {".ts", ".tsx"}]
    lines = {
        f"{short(file)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if COMPARED_IN_WEB.search(line)
    }
    one_file = "web/src/lib/providers.ts:"
    assert any(line.startswith(one_file) for line in lines)
    elsewhere = (line for line in sorted(lines) if not line.startswith(one_file))
    refuse(elsewhere, "Add a function to web/src/lib/providers.ts instead of the comparison")


# Requests that the command line writes itself, and why.
RAW_REQUESTS = {
    "cli/output/live_table.py": "an ETag, for a list that is asked for again each second"
}
ROUTES = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
FIRST_WORDS = {path.removeprefix("/api/v1").split("/")[1] for path in ROUTES}
CLI = [file for file in FILES if PACKAGE / "cli" in file.parents]


def test_command_line_sends_requests_through_the_client():
    """The path of a route is written once outside of the daemon."""
    files = (file for file in CLI if str(file.relative_to(PACKAGE)) not in RAW_REQUESTS)
    raw = [f"{short(file)}:{node.lineno}" for file in files for node in raw_requests(file)]
    paths = [f"{short(file)}: {path}" for file in CLI for path in paths_of_routes(file)]
    refuse(raw + paths, "Call a method of prism.client; add it there if there is none")


def raw_requests(file):
    """The calls with an HTTP method as first argument."""
    for node in nodes(file):
        first = node.args[0] if isinstance(node, ast.Call) and node.args else None
        if isinstance(first, ast.Constant) and first.value in {"GET", "POST", "PUT", "DELETE"}:
            yield node


def paths_of_routes(file):
    """The texts that begin like the path of a route."""
    for node in nodes(file):
        text = node.value if isinstance(node, ast.Constant) else ""
        if not isinstance(text, str) or not text.startswith("/"):
            continue
        if re.split(r"[/?]", text)[1] in FIRST_WORDS:
            yield text


def test_client_methods_for_the_command_line_return_unchanged_answers():
    """`Wire.call` returns JSON, which has no attributes of a struct."""
    called = {name for file in CLI for name in called_methods(file)}
    assert len(called) > 60
    changed = sorted(called - {*plain_methods()})
    refuse(changed, "Let the method return the answer of `_ask` unchanged; the CLI reads JSON")


def called_methods(file):
    """The methods of the client that are used, as `Budgets.show`."""
    for node in nodes(file):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        if node.value.id in NOUNS_OF_CLIENT:
            yield f"{node.value.id}.{node.attr}"


def plain_methods():
    """The methods that return the answer unchanged."""
    for name, node in NOUNS_OF_CLIENT.items():
        for method in functions(node):
            returned = [part.value for part in ast.walk(method) if isinstance(part, ast.Return)]
            if all(ends_with_an_answer(value) for value in returned):
                yield f"{name}.{method.name}"


def ends_with_an_answer(value):
    if isinstance(value, ast.Attribute):
        return value.attr == "content"  # bytes
    func = value.func if isinstance(value, ast.Call) else None
    return getattr(func, "attr", getattr(func, "id", "")) in {"_ask", "_volume", "_change"}


NOUNS_OF_CLIENT = {
    node.name: node
    for file in FILES
    if PACKAGE / "client" in file.parents
    for node in parsed(file).body
    if isinstance(node, ast.ClassDef) and "Noun" in {getattr(b, "id", "") for b in node.bases}
}
