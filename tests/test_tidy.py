"""The budgets of the code's own style: short functions and files, a test beside each file, no loose ends."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDORED = "swagger-ui"  # The page of the API's documentation, as its makers ship it.
LAYERS = ("domain", "db", "api", "workers", "local")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".sql", ".css", ".js", ".html", ".mako", ".example", ""}

FUNCTION_MEDIAN_MAX, FUNCTION_P90_MAX, FUNCTION_MAX = 10, 25, 70
FILE_MEDIAN_MAX, FILE_P90_MAX, FILE_MAX = 80, 200, 400
POSITIONAL_MAX = 4
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "base", "services", "managers", "misc", "lib"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
# A platform or an account that lacks what is tested is no evasion; anything else is.
EVASION = re.compile(
    r"pytest\.(skip|x" + r"fail|importorskip)\b"
    r"|\.mark\.(skip\b|x" + r"fail|skipif\((?!sys\.platform|os\.geteuid))"
)
REFUSAL = re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])(?P<reason>.*)")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)[^)]*\)")

# A source file without a test of its own name, and the test that exercises it.
TESTED_ELSEWHERE = {
    "domain/chain.py": "tests/db/test_chain.py",
    "domain/errors.py": "tests/domain/test_jobs.py",  # Every rejection has its code and its sentence.
    "domain/replays.py": "tests/domain/test_webhooks.py",
    "domain/retries.py": "tests/domain/test_deliveries.py",
    "domain/signatures.py": "tests/domain/test_webhooks.py",
    "db/control_totals.py": "tests/imports/test_calls.py",
    "db/import_keys.py": "tests/imports/test_calls.py",
    "db/imported_customers.py": "tests/imports/test_calls.py",
    "db/imported_wallets.py": "tests/imports/test_calls.py",
    "db/legacy_ids.py": "tests/imports/test_calls.py",
    "db/movements.py": "tests/db/test_audit.py",
    "db/secrets.py": "tests/db/test_webhooks.py",
    "api/__main__.py": "tests/flows/test_faults.py",  # Each stack starts the API by it.
    "api/app.py": "tests/api/test_access.py",  # Lists the routes of the whole application.
    "api/examples.py": "tests/api/test_docs.py",
    "api/fields.py": "tests/api/test_express.py",
    "api/openapi.py": "tests/api/test_docs.py",
    "api/openapi_texts.py": "tests/api/test_docs.py",
    "api/routes.py": "tests/api/test_docs.py",
    "api/schemas.py": "tests/api/test_schemathesis.py",
    "api/traced.py": "tests/test_tracing.py",  # Its spans are the beginning of a trace through all layers.
    "workers/__main__.py": "tests/flows/test_secrets.py",  # Each stack starts the workers by it.
    "workers/attempts.py": "tests/workers/test_logged.py",
    "workers/children.py": "tests/workers/test_exposition.py",
    "workers/courier.py": "tests/workers/test_deliveries.py",
    "workers/outcomes.py": "tests/workers/test_deliveries.py",
    "local/account.py": "tests/local/test_servers.py",
    "local/child.py": "tests/local/test_supervisor.py",
    "local/client.py": "tests/flows/test_faults.py",
    "local/demo.py": "tests/flows/test_faults.py",
    "local/errors.py": "tests/local/test_environment.py",  # Names only.
    "local/folder.py": "tests/local/test_servers.py",
    "local/kept.py": "tests/local/test_environment.py",
    "local/launch.py": "tests/local/test_supervisor.py",
    "local/leftovers.py": "tests/local/test_supervisor.py",
    "local/listen.py": "tests/api/test_listen.py",  # It needs customers who pay.
    "local/processes.py": "tests/flows/test_rolling_stop.py",
    "local/programs.py": "tests/local/test_servers.py",
    "local/receiver.py": "tests/api/test_listen.py",
    "local/run.py": "tests/flows/test_faults.py",
    "local/stack.py": "tests/local/test_servers.py",
    "local/tuning.py": "tests/local/test_servers.py",
}


@lru_cache(maxsize=1)
def files() -> list[Path]:
    """Return what belongs to the project: what git keeps, and what it would keep."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # An archive of the project: then there is nothing else.
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not _is_hidden(path)]
    return sorted(path for name in names if (path := ROOT / name).is_file())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in {"var", "__pycache__"} for part in path.relative_to(ROOT).parts[:-1])


def code() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def sources() -> list[Path]:
    """Return the code that is neither a test nor a migration."""
    return [path for path in code() if path.relative_to(ROOT).parts[0] not in {"tests", "migrations"}]


def functions(paths: Sequence[Path]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in paths:
        for node in functions_of(path):
            yield f"{shown(path)}:{node.lineno} {node.name}", node


@cache
def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Parse once for all tests: it is most of what they take."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def p90(lengths: Sequence[int]) -> float:
    return statistics.quantiles(lengths, n=10)[-1]


def test_most_functions_are_short() -> None:
    lengths = [length(node) for _, node in functions(sources())]
    assert statistics.median(lengths) <= FUNCTION_MEDIAN_MAX
    assert p90(lengths) <= FUNCTION_P90_MAX


def test_every_function_fits_a_screen() -> None:
    assert [name for name, node in functions(code()) if length(node) > FUNCTION_MAX] == []


def test_most_files_are_short() -> None:
    lengths = [len(lines(path)) for path in sources()]
    assert statistics.median(lengths) <= FILE_MEDIAN_MAX
    assert p90(lengths) <= FILE_P90_MAX


def test_no_file_is_long() -> None:
    excepted = {ROOT / "db/tables.py"} | {path for path in code() if path.is_relative_to(ROOT / "migrations")}
    assert [shown(path) for path in code() if len(lines(path)) > FILE_MAX and path not in excepted] == []


def test_no_function_takes_many_positional_parameters() -> None:
    many = []
    for name, node in functions(code()):
        named = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        if len([argument for argument in named if argument not in {"self", "cls"}]) > POSITIONAL_MAX:
            many.append(name)
    assert many == []


def test_no_module_is_named_for_what_it_is_not() -> None:
    assert [shown(path) for path in code() if {path.stem, *path.relative_to(ROOT).parts[:-1]} & VAGUE] == []


def test_every_signature_says_its_types() -> None:
    """`mypy --strict` checks more; this fails without it, also in a file that mypy was not told of."""
    bare = [name for name, node in functions(code()) if node.returns is None]
    assert bare == []


@pytest.mark.parametrize("pattern", [UNFINISHED, EVASION], ids=["unfinished", "evaded"])
def test_nothing_is_left_for_later_and_no_test_is_evaded(pattern: re.Pattern[str]) -> None:
    assert [where for where, line in every_line() if pattern.search(line)] == []


def test_a_tool_that_is_told_no_is_told_why_on_the_line() -> None:
    found = ((where, REFUSAL.search(line)) for where, line in every_line() if where.partition(":")[0].endswith(".py"))
    unexplained = [where for where, refusal in found if refusal and not re.search(r"[-#] \w", refusal["reason"])]
    assert unexplained == []


def test_every_source_file_has_a_test_of_its_name_or_one_that_exercises_it() -> None:
    layered = [path for path in sources() if path.relative_to(ROOT).parts[0] in LAYERS and path.stem != "__init__"]
    missing = [
        shown(path)
        for path in layered
        if not (ROOT / "tests" / path.parent.name / f"test_{path.stem}.py").exists()
        and not (ROOT / TESTED_ELSEWHERE.get(shown(path), "nowhere")).exists()
    ]
    assert missing == []


def test_the_list_of_files_that_are_tested_elsewhere_is_true() -> None:
    of_sources = set(sources())
    known = {shown(path) for path in of_sources}
    own = {f"{path.parent.name}/{path.stem.removeprefix('test_')}.py" for path in code() if path not in of_sources}
    assert [name for name in TESTED_ELSEWHERE if name not in known or name in own] == []


def test_every_link_between_our_pages_leads_somewhere() -> None:
    pages = [path for path in files() if path.suffix == ".md"]
    broken = [
        f"{shown(page)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def every_line() -> Iterator[tuple[str, str]]:
    """Yield each line of the text that people wrote, with its place. Locks are written by a tool."""
    for path in files():
        if path.suffix in TEXT and path != Path(__file__) and not path.name.startswith(VENDORED):
            for number, line in enumerate(lines(path), start=1):
                yield f"{shown(path)}:{number}", line
