"""What CI does is what everybody does, with no more rights than it needs, by code that nobody can change under it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
# By the commit, and beside it the version, for people and for Dependabot.
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
VERB = re.compile(r"\bmake (?:--silent )?([a-z-]+)")
# Rights that a job may have, and what for: there is no other way.
GRANTED = {
    "contents: read": "every job: the code",
    "packages: write": "release.yml publish",
    "id-token: write": "release.yml publish",
    "attestations: write": "release.yml publish",
}

Job = dict[str, Any]
Step = dict[str, Any]


@lru_cache
def workflow(path: Path) -> dict[str, Any]:
    """Read a file with all its words as words: YAML 1.1 takes the key `on` for true."""
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds text
    return loaded


def jobs() -> Iterator[tuple[str, Job]]:
    for path in WORKFLOWS:
        for name, job in workflow(path)["jobs"].items():
            yield f"{path.name} {name}", job


def steps() -> Iterator[tuple[str, Step]]:
    for where, job in jobs():
        for number, step in enumerate(job.get("steps", []), start=1):
            yield f"{where} {number}", step


def scripts() -> Iterator[tuple[str, str]]:
    return ((where, step["run"]) for where, step in steps() if "run" in step)


def verbs() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):.*## ", text, re.MULTILINE))


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "nightly.yml", "release.yml"}


def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it() -> None:
    lines = [line for path in WORKFLOWS for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    used = [line.partition("uses:")[2].strip() for line in lines]

    assert used
    assert [one for one in used if not one.startswith("./.github/") and not PINNED.match(one)] == []


def test_an_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}

    assert len({one.partition("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_grants_nothing_by_itself(path: Path) -> None:
    assert workflow(path)["permissions"] == {}


def test_a_job_says_what_it_may_and_no_job_may_more_than_it_must() -> None:
    granted = {f"{where} {scope}: {level}" for where, job in jobs() for scope, level in job["permissions"].items()}
    expected = {f"{where} contents: read" for where, _ in jobs()}
    expected |= {f"release.yml publish {right}" for right in GRANTED}

    assert granted == expected


def test_a_job_ends_by_itself_on_a_system_that_stays_the_same() -> None:
    own = {where: job for where, job in jobs() if "uses" not in job}

    assert [where for where, job in own.items() if not 0 < int(job.get("timeout-minutes", 0)) <= 360] == []
    assert {job["runs-on"] for job in own.values()} == {"ubuntu-24.04"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_runs_of_a_workflow_do_not_get_in_each_others_way(path: Path) -> None:
    assert set(workflow(path)["concurrency"]) == {"group", "cancel-in-progress"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nobody_elses_code_runs_with_our_secrets(path: Path) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow(path)["on"])


def test_a_checkout_leaves_no_token_behind() -> None:
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]

    assert checkouts
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") != "false"] == []


def test_what_an_event_says_never_becomes_part_of_a_script() -> None:
    assert [where for where, script in scripts() if "${{" in script] == []


def test_secrets_are_given_to_the_step_that_needs_them() -> None:
    holders = {where for where, step in steps() if "secrets." in str(step)}
    texts = [path.read_text(encoding="utf-8").count("secrets.") for path in WORKFLOWS]

    assert sum(texts) == sum(str(step).count("secrets.") for _, step in steps())
    assert all(where.startswith(("release.yml staging", "release.yml production")) for where in holders)


def test_every_script_is_a_verb_of_the_makefile() -> None:
    assert [where for where, script in scripts() if not VERB.search(script)] == []


def test_every_verb_that_is_called_exists() -> None:
    called = {verb for _, script in scripts() for verb in VERB.findall(script)}

    assert called - verbs() == set()


def test_everything_that_must_pass_before_a_commit_passes_in_ci() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checked = re.findall(r"^check: ([a-z -]+) ##", makefile, re.MULTILINE)[0].split()
    called = {verb for where, script in scripts() if where.startswith("ci.yml") for verb in VERB.findall(script)}

    assert set(checked) <= called


@pytest.mark.parametrize("name", ["staging", "production"])
def test_an_environment_says_which_overlay_a_release_applies(name: str) -> None:
    job = workflow(RELEASE)["jobs"][name]
    assert job["env"]["OVERLAY"] == f"${{{{ vars.OVERLAY || '{name}' }}}}"
    assert 'make release ENVIRONMENT="$OVERLAY"' in job["steps"][-1]["run"]


def test_production_comes_after_staging_which_comes_after_everything_else() -> None:
    needs = {name: job.get("needs", []) for name, job in workflow(RELEASE)["jobs"].items()}

    assert needs == {"check": [], "publish": "check", "staging": "publish", "production": ["publish", "staging"]}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("vendor.github-workflows", path) for path in WORKFLOWS),
        ("vendor.dependabot", ROOT / ".github/dependabot.yml"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_file_is_what_github_takes(schema: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
