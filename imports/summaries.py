"""What a call comes to, for machines to read."""

import msgspec

from domain.control_totals import Totals
from imports.files import Outcome


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`files` sums up the good rows of the files; `before` and `after` what the database holds of all imports."""

    dry_run: bool
    files: list[Outcome]
    totals: Totals
    before: Totals
    after: Totals
    differences: list[str]
    rows: int
    rejected: int
    seconds: float
    rows_per_second: int
