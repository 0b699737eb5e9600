"""What `make sbom` lists is what the image installs: each package of its lock, in its version, with its hashes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = "requirements-tracing.lock"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def test_the_list_has_each_package_of_the_images_lock_and_nothing_else(tmp_path: Path) -> None:
    recipe = re.sub(r"\\\n", "", (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nsbom: ")[2])
    arguments = (
        recipe.partition("-m cyclonedx_py ")[2].partition("\n")[0].replace("$(SBOM)", str(tmp_path / "sbom")).split()
    )
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *arguments], cwd=ROOT, capture_output=True, check=True)
    listed = json.loads((tmp_path / "sbom").read_text(encoding="utf-8"))["components"]

    pinned = PINNED.findall((ROOT / LOCK).read_text(encoding="utf-8"))
    assert len(pinned) > 50
    assert {(one["name"], one["version"]) for one in listed} == set(pinned)
    assert [one["name"] for one in listed if not one["externalReferences"][0]["hashes"]] == []


def test_the_image_installs_that_lock_by_its_hashes() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"pip install --require-hashes --requirement {LOCK}" in dockerfile
