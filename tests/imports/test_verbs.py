"""`tekana import`: what it prints, where, and how it ends."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from settings import Settings

Tekana = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def tekana(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fresh: Settings) -> Tekana:
    """Return a function that runs the command in this process: how it ended, and what it said where."""
    assert fresh

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        with monkeypatch.context() as changed:
            changed.setattr(sys, "argv", ["tekana", "import", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_a_sample_is_made_checked_imported_and_verified(tekana: Tekana, tmp_path: Path) -> None:
    files = [tmp_path / "customers.csv", tmp_path / "wallets.csv"]
    assert tekana("sample", tmp_path, "--customers", 30)[0] == 0
    expected = ["--expect", tmp_path / "totals.json"]
    assert tekana("check", *files, *expected)[0] == 0
    code, out, err = tekana("run", *files, *expected, "--batch-rows", 20)
    assert (code, json.loads(out)["after"]["customers"]) == (0, 30)
    assert "importing: 100 %" in err
    assert json.loads(tekana("verify", *files)[1]) == {"ok": True, "files": 2}

    files[1].write_text(files[1].read_text(encoding="utf-8").replace(",personal,", ",loan,", 1), encoding="utf-8")
    code, out, _ = tekana("verify", *files)
    assert (code, json.loads(out)["field"]) == ("tekana: 1 differences", "type")
    code, out, err = tekana("run", files[1])
    assert code == f"tekana: {json.loads(out)['rejected']} rows rejected, 0 totals differ"

    (tmp_path / "totals.json").write_text('{"customers": 31, "currencies": {}}', encoding="utf-8")
    code, out, err = tekana("run", files[0], *expected)
    assert (code, "customers: expected 31, found 30" in err) == ("tekana: 0 rows rejected, 1 totals differ", True)
    (tmp_path / "totals.json").write_text('{"people": 31}', encoding="utf-8")
    assert "totals.json: Object contains unknown field `people`" in tekana("run", files[0], *expected)[2]
    files[0].write_text("name\n", encoding="utf-8")
    assert tekana("check", files[0])[0] == (
        "tekana: customers.csv: its header: columns: none is one of ours: values are separated by commas, and in UTF-8"
    )
