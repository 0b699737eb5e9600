from pathlib import Path

import imports.sample


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        imports.sample.write(tmp_path / name, 20, seed)
    one, two, other = ((tmp_path / name / "wallets.csv").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
