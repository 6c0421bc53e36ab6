"""`genwright doctor`: what is installed, what the machine can do, what is missing."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from packaging.requirements import Requirement

from genwright import __version__
from genwright.cli.output import Json, console, emit_json, table

EXTRAS = ("lm", "json", "science", "data", "serve", "report", "scale", "friends", "demo")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("doctor")
    def doctor(as_json: Json = False) -> None:
        """Say what is installed, what this machine can do, and which extras are missing."""
        found = {"genwright": __version__, **machine(), "extras": extras(), "model": embedded()}
        if as_json:
            emit_json(found)
            return
        rows = [[k, v] for k, v in found.items() if k != "extras"]
        console.print(table("", ["what", "found"], rows))
        rows = [
            [
                name,
                "missing: " + ", ".join(lacks) if lacks else "ready",
                f"pip install 'genwright[{name}]'" if lacks else "",
            ]
            for name, lacks in found["extras"].items()
        ]
        console.print(table("", ["extra", "state", "to install"], rows))


def machine() -> dict[str, Any]:
    """Return what this machine has that generation cares about."""
    facts: dict[str, Any] = {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "free disk (GB)": round(shutil.disk_usage(Path.cwd()).free / 1e9),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        facts["memory (GB)"] = round(memory / 1e9)
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        flags = cpu.read_text().partition("flags")[2].partition("\n")[0].split()
        wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni")
        facts["vector units"] = ", ".join(f for f in wanted if f in flags) or "none of note"
    if find_spec("torch"):
        import torch

        facts["torch"] = torch.__version__
        facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return facts


def extras() -> dict[str, list[str]]:
    """Return what each extra still lacks: an empty list is a complete extra."""
    wanted = [Requirement(line) for line in requires("genwright") or []]
    lacks: dict[str, list[str]] = {}
    for extra in EXTRAS:
        mine = [r for r in wanted if r.marker and r.marker.evaluate({"extra": extra})]
        lacks[extra] = [r.name for r in mine if r.name != "genwright" and not _installed(r.name)]
    return lacks


def embedded() -> str:
    """Say where the embedded model comes from, or how to get it."""
    if not find_spec("torch"):
        return "needs the extra lm"
    from genwright.generators.language.embedded import whereabouts

    return whereabouts()


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
