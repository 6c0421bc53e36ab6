"""Where the results of a benchmark go: a folder with JSON and a table, and one of both printed."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --folder and --json."""
    folder = Path(__file__).parent / "results"
    parser.add_argument("--folder", type=Path, default=folder, help="where results go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def write(args: argparse.Namespace, name: str, result: Any, table: str) -> None:
    """Write NAME.json and NAME.md, and print one of them."""
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.folder / f"{name}.md").write_text(table)
    print(json.dumps(result) if args.json else table)
