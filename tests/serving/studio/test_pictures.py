"""The pictures of the guide, taken while the embedded model writes.

They land in `docs/studio` where GENWRIGHT_PICTURES is set, else in the test's own folder.
"""

import os
import time
from pathlib import Path

import pytest

from genwright.generators.language.embedded import EMBEDDED
from genwright.generators.language.local import LocalLM

FOLDER = Path(__file__).parents[3] / "docs" / "studio"
CALM = """document.querySelector('#words-state').textContent !== 'asking …'
  && document.querySelectorAll('#words li').length > 3"""


@pytest.mark.slow
def test_the_pictures_of_the_guide(browser, opening, tmp_path):
    folder = FOLDER if os.environ.get("GENWRIGHT_PICTURES") else tmp_path
    lm = LocalLM(model=EMBEDDED, temperature=0.9, batch=8)

    def calm():
        time.sleep(0.5)
        browser.until(CALM)

    def add(name, *fields):
        browser.press("Alt+a")
        browser.until("document.activeElement.id === 'filter-search'")
        browser.type(name)
        browser.press("Enter")
        browser.until("!document.querySelector('#filter-form').hidden")
        for field in fields:
            browser.type(field)
        return browser

    with opening(lm, tmp_path / "documents", model="smollm2-135m-instruct") as studio:
        browser.screen(1280, 940)
        browser.go(studio.link)
        browser.js("document.querySelector('#title').focus()")
        browser.type("The harbour")
        browser.js(
            "for (const [id, v] of [['n', 2], ['max_new_tokens', 24], ['seed', 7],"
            "['temperature', 0.7]]) { const e = document.getElementById(id); e.value = v;"
            "e.dispatchEvent(new Event('change')); }"
        )
        browser.press("Alt+t")
        browser.type("The harbour was quiet that morning. A small boat lay at the wall, and a ")
        calm()
        add("ban", "e")
        browser.picture(folder / "form.png")
        browser.press("Ctrl+Enter")
        calm()
        browser.press("Alt+t", "Ctrl+Enter")
        browser.until("document.querySelector('#drawing').textContent.includes('seed')")
        browser.until("document.querySelector('#saved').textContent === 'Saved'")
        assert browser.js("document.querySelectorAll('#removed li').length") >= 8
        assert browser.js("document.querySelectorAll('.alternative').length") == 2
        browser.js("document.activeElement.blur(); scrollTo(0, 0)")
        browser.picture(folder / "light.png")
        browser.screen(1280, 940, dark=True)
        browser.picture(folder / "dark.png")
        browser.screen(390, 780, phone=True, dark=True, scale=1.5)
        browser.reload()
        calm()
        browser.picture(folder / "phone.png")
    names = {path.name for path in folder.glob("*.png")}
    assert names >= {"form.png", "light.png", "dark.png", "phone.png"}
    assert all(path.stat().st_size < 150_000 for path in folder.glob("*.png"))
