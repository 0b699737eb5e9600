"""Reading CSV: from any record on, with every record that is none named, and the ones around it kept."""

from pathlib import Path

import pytest

from domain.imports import FileKind
from imports.source import FIELD_MAX, QUOTED_MAX, Record, Source, Unreadable, digest

HEADER = b"legacy_id,customer_legacy_id,currency,balance_minor,created_at\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallets.csv"


def read(path: Path, content: bytes) -> list[Record]:
    path.write_bytes(content)
    with path.open("rb") as file:
        return list(Source(path, file).records())


def said(records: list[Record]) -> list[tuple[int, str]]:
    return [(one.row_number, one.values[0] if one.problem is None else one.problem.rule) for one in records]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_rows_are_numbered_as_a_spreadsheet_does(path: Path, mark: bytes, end: bytes) -> None:
    content = mark + HEADER.replace(b"\n", end) + end.join([b"W1,C,RWF,0,t", b'"W\n2",C,RWF,0,t', b"W3,C,RWF,0,t"])
    assert said(read(path, content)) == [(2, "W1"), (3, "W\n2"), (4, "W3")]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"W2,C,RWF,0", "has 4 values; the header names 5"),
        (b"W2,C,RWF,0,t,x", "has 6 values; the header names 5"),
        (b"W\xff,C,RWF,0,t", "is not UTF-8"),
        (b'W2,"C"x,RWF,0,t', "is no CSV: ',' expected after '\"'"),
        (b"W2," + b"x" * (FIELD_MAX + 1) + b",RWF,0,t", f"has a value of more than {FIELD_MAX:,} characters"),
    ],
)
def test_a_line_that_is_no_record_spoils_no_other(path: Path, line: bytes, rule: str) -> None:
    content = HEADER + b"W1,C,RWF,0,t\n" + line + b"\nW3,C,RWF,0,t\n"
    assert said(read(path, content)) == [(2, "W1"), (3, rule), (4, "W3")]


def test_reading_goes_on_behind_any_record(path: Path) -> None:
    path.write_bytes(HEADER + b"W1,C,RWF,0,t\n" + "Wé,C,RWF,0,t\n".encode() + b"W3,C,RWF,0,t\n")
    with path.open("rb") as file, path.open("rb") as again:
        first, second = Source(path, file), Source(path, again)
        records = first.records()
        next(records)
        next(records)
        second.go_to(first.position, first.row_number)
        assert list(second.records()) == list(records)


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\xff\xfe\n"])
def test_a_file_without_our_header_is_refused_by_its_name(path: Path, content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"wallets\.csv: "):
        read(path, content)


def test_the_kind_of_a_file_is_told_by_its_columns(path: Path) -> None:
    path.write_bytes(b"email,legacy_id,full_name,national_id,password_hash,created_at")
    with path.open("rb") as file:
        assert Source(path, file).header.kind is FileKind.CUSTOMERS


def test_a_digest_leaves_the_file_at_its_beginning(path: Path) -> None:
    path.write_bytes(HEADER)
    with path.open("rb") as file:
        assert (len(digest(file)), file.tell()) == (32, 0)


OPEN = b'"W1,C1,RWF,5,x\n'
FORGED = b"F%d,C1,RWF,1000000,2019-03-04T05:06:07Z\n"


@pytest.mark.parametrize(
    "end", [b"", b'x"y,RWF,0,t\n'], ids=["to the end of the file", "to a quote that closes nothing"]
)
@pytest.mark.parametrize("others", [1, 500])
def test_what_stands_behind_an_open_quote_is_named_and_not_imported(path: Path, others: int, end: bytes) -> None:
    lines = [OPEN, *(FORGED % number for number in range(others)), *([end] if end else [])]
    [(first, rule)] = said(read(path, HEADER + b"".join(lines)))
    assert first == 2
    assert rule.startswith(f"is no CSV, nor is what stands behind it, up to row {1 + len(lines)}: ")


def test_rows_behind_a_record_that_is_none_are_read_and_numbered_as_lines(path: Path) -> None:
    content = HEADER + OPEN + FORGED % 1 + b'x"y,RWF,0,t\nW5,C1,RWF,5,x\n'
    assert [number for number, _ in said(read(path, content))] == [2, 5]
    assert said(read(path, content))[1] == (5, "W5")


def test_a_line_that_is_no_record_for_two_reasons_spoils_no_other(path: Path) -> None:
    found = said(read(path, HEADER + b'"W\xff"1,C1,RWF,5,x\nW2,C1,RWF,5,x\n'))
    assert found[0][1].startswith("is no CSV: ")
    assert found[1] == (3, "W2")


@pytest.mark.parametrize("size", [FIELD_MAX, QUOTED_MAX - 100])
def test_a_long_value_is_one_record_whatever_stands_in_it(path: Path, size: int) -> None:
    value = b"Ann\n" + FORGED % 1 + b"x" * size
    found = said(read(path, HEADER + b'W1,"' + value + b'",RWF,0,t\nW2,C1,RWF,5,x\n'))
    assert found == [(2, f"has a value of more than {FIELD_MAX:,} characters"), (3, "W2")]


def test_what_is_longer_than_any_value_in_quotes_is_named_to_where_it_was_read(path: Path) -> None:
    forged = b"".join(FORGED % number for number in range(QUOTED_MAX // 45))
    [first, *_] = said(read(path, HEADER + OPEN + forged + b"x" * QUOTED_MAX + b"\nW2,C1,RWF,5,x\n"))
    assert first[0] == 2
    assert "up to row" in first[1]


def test_the_place_behind_broken_lines_is_the_next_ones(path: Path) -> None:
    path.write_bytes(HEADER + OPEN + b'x"y,RWF,0,t\nW2,C1,RWF,5,x\nW3,C1,RWF,5,x\n')
    with path.open("rb") as file:
        source = Source(path, file)
        records = source.records()
        next(records)
        place = source.position, source.row_number
        following = said(list(records))
    with path.open("rb") as file:
        again = Source(path, file)
        again.go_to(*place)
        assert said(list(again.records())) == following == [(4, "W2"), (5, "W3")]


def test_a_value_may_have_line_breaks_between_quotes(path: Path) -> None:
    found = read(path, HEADER + b'"W1","C\n1",RWF,5,x\nW2,C1,RWF,5,x\n')
    assert [one.values[:2] for one in found] == [("W1", "C\n1"), ("W2", "C1")]
