"""Rolling out by `make release`: the order of things, and the way back. The cluster is a twin that keeps a record."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "kubernetes" / "release.sh"
IMAGE = "registry.example/tekana@sha256:" + "0" * 64
SECONDS_MAX = 20.0

# Writes down what it is asked, and fails at what it is told to fail at: the n-th time, or each time.
KUBECTL = """#!/bin/sh
echo "$@" >>"$RECORD/calls"
case "$*" in
*"get deployments"*) [ -z "$NOTHING_RUNS" ] && printf 'deployment.apps/api\\ndeployment.apps/worker-wallets\\n' ;;
*"get deployment.apps/api"*) printf 7 ;;
*"get deployment.apps/worker-wallets"*) printf 4 ;;
*"apply --kustomize"*) cat "$4/kustomization.yaml" "$3/kustomization.yaml" >"$RECORD/applied" 2>/dev/null ;;
esac
case "$*" in *"$FAIL"*) [ -n "$FAIL" ] && [ ! -e "$RECORD/failed" ] && : >"$RECORD/failed" && exit 1 ;; esac
exit 0
"""


class Rolled(NamedTuple):
    """How the script ended, and what the cluster and the smoke test were asked."""

    status: int
    out: str
    err: str
    calls: list[str]
    applied: str
    left: list[str]


Roll = Callable[..., Rolled]


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    """Return a function that runs the script on a cluster of two deployments."""
    script = tmp_path / "kubernetes" / "release.sh"
    overlay = tmp_path / "kubernetes" / "overlays" / "staging"
    overlay.mkdir(parents=True)
    shutil.copy(SCRIPT, script)
    (overlay / "kustomization.yaml").write_text("kind: Kustomization\nnamespace: tekana-staging\nresources: []\n")
    for name, text in {"kubectl": KUBECTL, "smoke": '#!/bin/sh\necho smoke "$BASE_URL" >>"$RECORD/calls"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*arguments: str, smoke: str = "smoke", **changes: str) -> Rolled:
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RECORD": str(tmp_path), "FAIL": "", "NOTHING_RUNS": ""}
        env |= {"ENVIRONMENT": "staging", "IMAGE": IMAGE, "BASE_URL": "https://api.example", "SMOKE": smoke} | changes
        done = subprocess.run(
            ["/bin/sh", script, *arguments], env=env, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
        return Rolled(
            status=done.returncode,
            out=done.stdout,
            err=done.stderr,
            calls=read(tmp_path / "calls").splitlines(),
            applied=read(tmp_path / "applied"),
            left=[path.name for path in overlay.parent.iterdir()],
        )

    return run


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def short(call: str) -> str:
    """Return a call without what all have, and without the name of a temporary folder."""
    plain = call.removeprefix("--namespace tekana-staging ").partition(" --timeout")[0]
    return "apply" if plain.startswith("apply --kustomize") else plain


READY = ["rollout status deployment.apps/api", "rollout status deployment.apps/worker-wallets"]
BACK = [
    "rollout undo deployment.apps/api --to-revision=7",
    "rollout undo deployment.apps/worker-wallets --to-revision=4",
]
SET = [f"set image deployment.apps/{name} *={IMAGE}" for name in ("api", "worker-wallets")]
MIGRATED = ["delete job migrate --ignore-not-found", "apply", "wait --for=condition=complete job/migrate"]


def doings(rolled: Rolled) -> list[str]:
    """Return what was done, without what was only looked at."""
    return [short(call) for call in rolled.calls if " get " not in call]


def test_an_environment_is_migrated_rolled_and_tested_in_this_order(roll: Roll) -> None:
    rolled = roll()

    assert doings(rolled) == [*MIGRATED, *READY, "smoke https://api.example"]
    assert (rolled.status, rolled.out.splitlines()[-1]) == (0, f"staging runs {IMAGE}")


def test_the_image_is_named_by_its_digest_and_nothing_checked_in_is_edited(roll: Roll) -> None:
    rolled = roll()

    assert 'newName: "registry.example/tekana", digest: "sha256:' + "0" * 64 in rolled.applied
    assert "resources: [../staging]" in rolled.applied
    assert rolled.left == ["staging"]


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        ("delete job migrate", MIGRATED[:1]),
        ("apply --kustomize", MIGRATED[:2]),
        ("wait --for=condition=complete job/migrate", MIGRATED),
        ("rollout status deployment.apps/api", [*MIGRATED, READY[0]]),
        ("rollout status deployment.apps/worker-wallets", [*MIGRATED, *READY]),
    ],
)
def test_what_does_not_get_ready_is_rolled_back_to_where_it_was(roll: Roll, failing: str, done: list[str]) -> None:
    rolled = roll(FAIL=failing)

    assert doings(rolled) == [*done, *BACK, *READY]
    assert (rolled.status, rolled.left) == (1, ["staging"])
    assert "rolling staging back" in rolled.err


def test_what_cannot_go_back_does_not_keep_the_others_from_it(roll: Roll) -> None:
    rolled = roll(smoke="false", FAIL="rollout undo deployment.apps/api")

    assert doings(rolled) == [*MIGRATED, *READY, *BACK, *READY]
    assert "the roll-back did not get ready" in rolled.err


def test_what_fails_its_smoke_test_is_rolled_back(roll: Roll) -> None:
    rolled = roll(smoke="false")

    assert doings(rolled) == [*MIGRATED, *READY, *BACK, *READY]
    assert rolled.status == 1


def test_a_first_release_that_fails_has_nothing_to_go_back_to(roll: Roll) -> None:
    rolled = roll(NOTHING_RUNS="yes", smoke="false")

    assert doings(rolled) == MIGRATED
    assert rolled.status == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"IMAGE": "registry.example/tekana:0.1.0"}, "has no digest"),
        ({"IMAGE": ""}, "IMAGE"),
        ({"BASE_URL": ""}, "BASE_URL"),
        ({"ENVIRONMENT": ""}, "ENVIRONMENT"),
        ({"ENVIRONMENT": "elsewhere"}, "elsewhere/kustomization.yaml"),
        ({"FAIL": "get deployments"}, ""),
    ],
)
def test_what_cannot_be_right_touches_nothing(roll: Roll, changes: dict[str, str], message: str) -> None:
    rolled = roll(**changes)

    assert doings(rolled) == []
    assert rolled.status != 0
    assert message in rolled.err


@pytest.mark.parametrize(("failing", "status"), [("", 0), (SET[0], 1), (SET[1], 1), (READY[1], 1)])
def test_an_operator_takes_everything_back_to_an_image(roll: Roll, failing: str, status: int) -> None:
    rolled = roll("back", BASE_URL="", FAIL=failing)

    assert doings(rolled) == SET + READY
    assert rolled.status == status


@pytest.mark.parametrize(
    "changes",
    [{"NOTHING_RUNS": "yes"}, {"FAIL": "get deployments"}, {"IMAGE": ""}, {"IMAGE": "registry.example/tekana:0.1.0"}],
)
def test_there_is_no_way_back_for_what_does_not_run_or_to_what_is_not_named(
    roll: Roll, changes: dict[str, str]
) -> None:
    rolled = roll("back", **changes)

    assert doings(rolled) == []
    assert rolled.status != 0
