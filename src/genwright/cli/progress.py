"""Progress of long work on standard error: a bar a stage, nothing where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from genwright.cli.output import progress_console
from genwright.core import Outcome
from genwright.core.attempt import Event


class Stages:
    """Shows one bar at a time: `begin` starts a stage, `event` and `watch` move it on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bar = progress.add_task("starting", total=None, note="")
        self.draws = self.passed = self.finished = 0

    def begin(self, title: str, total: int | None = None) -> None:
        """Start a stage; the one before stays on the screen as a line of its own."""
        if self.draws or self.finished:
            self.progress.update(self.bar, total=self.finished, completed=self.finished)
        self.progress.stop_task(self.bar)
        self.bar = self.progress.add_task(title, total=total, note="")
        self.draws = self.passed = self.finished = 0
        if not self.progress.console.is_terminal:
            self.progress.console.print(title)

    def event(self, event: Event) -> None:
        """Count what the runner tells."""
        if event.kind == "draw":
            self.draws += 1
        elif event.kind == "task finished":
            self.finished += 1
            outcome = event.what
            self.passed += isinstance(outcome, Outcome) and outcome.passed is True
        note = f"{self.draws} draws, {self.passed} passed"
        self.progress.update(self.bar, completed=self.finished, note=note)

    def watch(self, metric: str, step: int, value: float) -> None:
        """Show a training step."""
        if metric != "loss":
            return
        self.progress.update(self.bar, completed=step + 1, note=f"loss {value:.3f}")
        if not self.progress.console.is_terminal and (step + 1) % 25 == 0:
            self.progress.console.print(f"  step {step + 1}: loss {value:.3f}")


@contextmanager
def stages() -> Iterator[Stages]:
    """Show stages while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress_console, transient=False) as progress:
        yield Stages(progress)
