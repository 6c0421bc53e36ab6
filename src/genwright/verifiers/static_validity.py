"""Code that names only what exists: no syntax error, no unknown variable, no unknown member.

Choose it for code that belongs into a project and cannot be run: it costs a second and needs no
tests. It says nothing about what the code does.

Wang et al. 2024, "Teaching Code LLMs to Use Autocompletion Tools in Repository-Level Code
Generation", arXiv:2401.06391, Section 4.2: static validity is the share of drawn functions in whose
lines pylint finds no `syntax-error`, `no-member` or `undefined-variable`. Ours: a syntax error
counts wherever it is reported, since the file without the draw has none.
"""

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from genwright.core import InvalidArgument, MissingFile, Samples, Verdict, method, require
from genwright.core.processes import NoAnswer, Processes, side_by_side


@method(paper="arXiv:2401.06391")
@dataclass(frozen=True, kw_only=True)
class StaticValidity:
    """A draw passes when pylint finds no unknown name in its lines.

    Args:
        project: folder that imports start from. It is read, not run.
        file: path of the file that the draw belongs into, within the project; it need not exist.
        before: the file's text up to the draw.
        after: the text that follows it, a line's end at first.
        seconds: the most a check may take; then the draw is undecided.

    Raises:
        InvalidArgument: a limit that is not above 0.
    """

    project: str
    file: str
    before: str = ""
    after: str = ""
    seconds: float = 120.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InvalidArgument(f"StaticValidity: seconds must be above 0, got {self.seconds}.")

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Put each draw into the file and look at its lines.

        Raises:
            MissingFile: there is no such project.
            MissingExtra: pylint is not installed.
        """
        if find_spec("pylint") is None:
            require("pylint", extra="code", needed_by="StaticValidity")
        root = Path(self.project).resolve()
        if not root.is_dir():
            raise MissingFile(f"StaticValidity: there is no folder {self.project!r}.")
        return side_by_side(partial(self._check, root), samples.values)

    def _check(self, root: Path, draw: str) -> Verdict:
        code = self.before + draw + self.after
        first = self.before.count("\n") + 1
        last = first + draw.count("\n")
        try:
            found = _workers.ask((str(root), str(root / self.file), code), self.seconds)
        except NoAnswer as error:
            return Verdict.undecided({"reason": str(error)})
        wrong = [
            {"check": check, "line": line - first + 1, "message": message}
            for check, line, message in found
            if check == "syntax-error" or first <= line <= last
        ]
        return Verdict.fail(wrong) if wrong else Verdict.ok()


_workers = Processes(Path(__file__).with_name("_pylint_worker.py"), mebibytes=4096)
