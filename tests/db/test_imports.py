"""How far a file has come: known again by its content, moved by one process at a time."""

import pytest
from sqlalchemy import Connection

import db.imports
from db.imports import Overtaken, Progress
from domain.control_totals import Holding, Totals
from domain.imports import FileKind

TOTALS = Totals(customers=0, currencies={"RWF": Holding(wallets=2, balance_minor=9)})
LATER = Progress(position=70, row_number=4, reject_bytes=12, imported=2, rejected=1, totals=TOTALS)


def test_a_file_is_known_again_by_its_content(tx: Connection) -> None:
    one = db.imports.begin(tx, b"digest", FileKind.WALLETS, "wallets.csv")
    db.imports.advance(tx, one.id, LATER, is_last=False)
    again = db.imports.begin(tx, b"digest", FileKind.WALLETS, "renamed.csv")
    assert (again.id, again.progress, again.is_finished) == (one.id, LATER, False)
    assert db.imports.begin(tx, b"other", FileKind.WALLETS, "wallets.csv").progress == Progress()


def test_who_finds_the_file_elsewhere_than_it_thought_is_overtaken(tx: Connection) -> None:
    one = db.imports.begin(tx, b"digest", FileKind.WALLETS, "wallets.csv")
    db.imports.hold(tx, one.id, one.progress)
    db.imports.advance(tx, one.id, LATER, is_last=False)
    with pytest.raises(Overtaken):
        db.imports.hold(tx, one.id, one.progress)
    db.imports.hold(tx, one.id, LATER)


def test_a_file_that_is_done_goes_nowhere(tx: Connection) -> None:
    one = db.imports.begin(tx, b"digest", FileKind.WALLETS, "wallets.csv")
    db.imports.advance(tx, one.id, LATER, is_last=True)
    assert db.imports.begin(tx, b"digest", FileKind.WALLETS, "wallets.csv").is_finished
    with pytest.raises(Overtaken):
        db.imports.hold(tx, one.id, LATER)
