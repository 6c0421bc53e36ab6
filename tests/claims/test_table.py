"""The page is made from recorded results, and shows a failing claim before one that holds."""

from dataclasses import replace
from pathlib import Path

from genwright.claims.harness import recorded, run_claim
from genwright.claims.table import claims_table
from genwright.core import Ledger

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_the_repository_is_what_the_command_writes():
    page = (DOCS / "claims.md").read_text(encoding="utf-8")
    assert page == claims_table(recorded(DOCS / "claims.jsonl"))


def test_failing_claims_come_first_with_the_broken_bound_and_the_command(tiny):
    book = Ledger()
    failing = replace(run_claim(tiny, "smoke", 3, book), slug="monkeys", date="2026-02-03")
    page = claims_table([run_claim(tiny, "full", 8, book), failing])
    assert page.index("## Claims that fail") < page.index("## Claims that hold")
    assert "### `monkeys`: fails (smoke)" in page
    assert "| seed | 3 | >= 5 | **no** |" in page
    assert "| seed | 8 | >= 5 | yes |" in page
    assert "| other | 0.12346 |  |  |" in page
    assert "- at smoke scale" in page
    assert "- 2026-02-03, " in page
    assert "`genwright claims run b4 --scale full --seed 8`" in page
    assert " 1 holds, 1 fails." in page


def test_systems_without_a_claim_and_claims_without_a_run_are_told_apart():
    page = claims_table([])
    waiting, missing = page.split("## Not built")
    assert "`b4`" in waiting
    assert "`orca`" in missing
    assert "`b4`" not in missing
    assert "## Claims that" not in page
