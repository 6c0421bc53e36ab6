"""Documents of the studio: one JSON file each, in a folder of the user's.

Nothing is lost: a file is replaced in one step, a change is refused when the document was changed
elsewhere since it was read, and a document that is deleted is moved to the folder `deleted`.
"""

import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genwright.serving.faults import ApiError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
"""What a document's file may be called: nothing that leads out of the folder."""

MOST = 10_000
"""Documents in a folder."""

FORMAT = 1


def data_folder() -> Path:
    """Return the folder where this system keeps what programs write for a user."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "genwright" / "studio"


class Documents:
    """The documents of one folder, which is made when the first one is.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Return name, title, words and time of change of every document, the latest first."""
        found: list[dict[str, Any]] = []
        for path in self.folder.glob("*.json"):
            try:
                held = self._read(path.stem)
            except ApiError as error:  # one broken file must not hide the others
                found.append({"name": path.stem, "title": path.name, "problem": str(error)})
                continue
            words = len(str(held.get("text", "")).split())
            found.append(
                {
                    "name": path.stem,
                    "title": held.get("title", ""),
                    "words": words,
                    "changed": held["changed"],
                }
            )
        return sorted(found, key=lambda each: -each.get("changed", 0.0))

    def read(self, name: str) -> dict[str, Any]:
        """Return a document.

        Raises:
            ApiError: there is none of that name, or its file cannot be understood.
        """
        with self._lock:
            return self._read(name)

    def create(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Make a document, named for its title; return it.

        Raises:
            ApiError: the folder is full or cannot be written to.
        """
        with self._lock:
            if len(list(self.folder.glob("*.json"))) >= MOST:
                raise ApiError(
                    409, f"{self.folder} holds {MOST:,} documents, the most it may: delete some."
                )
            slug = re.sub(r"[^a-z0-9]+", "-", str(content.get("title", "")).lower())
            slug = slug.strip("-")[:40].strip("-") or "untitled"
            name = slug
            while self._path(name).exists():
                name = f"{slug}-{secrets.token_hex(2)}"
            return self._write(name, content, 1)

    def save(self, name: str, content: Mapping[str, Any], revision: int) -> dict[str, Any]:
        """Replace a document; return it.

        Args:
            name: of the document.
            content: what it is to hold.
            revision: the one that was read before it was changed.

        Raises:
            ApiError: it was changed elsewhere since (409), is not there, or cannot be written.
        """
        with self._lock:
            held = self._read(name)
            if held["revision"] != revision:
                raise ApiError(
                    409,
                    f"{held.get('title') or name!r} was changed elsewhere, in another window "
                    "perhaps. Your version can be kept as a document of its own.",
                    code="changed_elsewhere",
                )
            return self._write(name, content, revision + 1)

    def delete(self, name: str) -> Path:
        """Move a document out of the way; return where its file lies now.

        Raises:
            ApiError: there is none of that name.
        """
        with self._lock:
            path = self._path(name)
            if not path.exists():
                raise _none(name)
            away = self.folder / "deleted" / f"{name}-{time.time_ns()}.json"
            away.parent.mkdir(exist_ok=True)
            path.rename(away)
            return away

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ApiError(
                400,
                f"{name!r:.80} is no name of a document: letters a to z, digits and hyphens, at "
                "most 64.",
                param="name",
            )
        return self.folder / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        path = self._path(name)
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(held, dict) or held.get("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            return {**held, "name": name, "changed": path.stat().st_mtime}
        except FileNotFoundError:
            raise _none(name) from None
        except (OSError, ValueError) as error:
            raise ApiError(
                409, f"{path} cannot be read as a document: {error}. Mend or move the file."
            ) from error

    def _write(self, name: str, content: Mapping[str, Any], revision: int) -> dict[str, Any]:
        path = self._path(name)
        held = {**content, "format": FORMAT, "revision": revision}
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as file:
                json.dump(held, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            said = error.strerror or str(error)
            raise ApiError(
                507,
                f"{path} cannot be written: {said}. Make room or mend the folder's permissions; "
                "until then the text is kept in this browser.",
            ) from error
        return {**held, "name": name, "changed": path.stat().st_mtime}


def _none(name: str) -> ApiError:
    return ApiError(404, f"There is no document {name!r}: it was deleted or moved.", param="name")
