"""A trained model's card: what it came from, what it learnt from, and how it scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright import __version__
from genwright.core import InvalidArgument, describe

if TYPE_CHECKING:
    from genwright.generators.language.local import LocalLM


def write_card(
    folder: Path, learner: Any, base: "LocalLM", *, rows: int, seed: int, losses: Sequence[float]
) -> None:
    """Write `README.md` into the model's folder."""
    settings = describe(learner)
    lines = [
        f"# {folder.name}",
        "",
        f"Trained by genwright {__version__} from `{base.model}` with `{settings['method']}`.",
        "",
        f"- rows: {rows}",
        f"- seed: {seed}",
        f"- loss (nats a token): {losses[0]:.3f} at the first step, {losses[-1]:.3f} at the last",
        *(f"- {k}: `{v}`" for k, v in settings.items() if k not in ("method", "folder")),
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def add_to_card(folder: Path, *, ledger: str, runs: Mapping[str, str], scores: str) -> None:
    """Add the ledger, the runs and the scores to a card.

    Args:
        folder: the model's folder.
        ledger: name of the ledger file.
        runs: what each run is -> its id.
        scores: a Markdown table.
    """
    path = folder / "README.md"
    begun = path.read_text(encoding="utf-8") if path.exists() else f"# {folder.name}\n"
    card = begun.partition("\n## Measured")[0]
    named = [f"- {what}: run `{run}`" for what, run in runs.items()]
    text = "\n".join(["", "## Measured", "", f"Ledger: `{ledger}`", "", *named, "", scores, ""])
    path.write_text(card + text, encoding="utf-8")


def model_folder(generator: Any) -> Path:
    """Return the folder that holds a generator's weights.

    Raises:
        InvalidArgument: its weights are in memory alone.
    """
    for name in ("model", "denoiser"):
        if isinstance(found := getattr(generator, name, None), str):
            return Path(found)
    raise InvalidArgument(
        f"model_folder: {type(generator).__name__} holds its weights in memory; give its learner a "
        "folder."
    )
