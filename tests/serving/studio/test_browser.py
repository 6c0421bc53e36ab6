"""The writing page in a real browser: by keyboard, on a phone, in dark and light, over reloads."""

import json
import time
from pathlib import Path

import httpx
import pytest
from waiting import until

CALM = """document.querySelector('#words-state').textContent !== 'asking …'
  && document.querySelectorAll('#words li').length > 0"""
SAVED = "document.querySelector('#saved').textContent === 'Saved'"
DRAWN = "document.querySelector('#drawing').textContent.includes('seed')"
TEXT = "document.querySelector('#text').value"
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
NAMELESS = """[...document.querySelectorAll('button, input, select, textarea, [role=listbox]')]
  .filter((e) => !e.ariaLabel && !e.labels?.length && !e.getAttribute('aria-labelledby'))
  .filter((e) => !e.textContent.trim()).map((e) => e.outerHTML.slice(0, 120))"""
SMALL = """[...document.querySelectorAll('button, #words li')].filter((e) => e.checkVisibility())
  .map((e) => [e.getBoundingClientRect(), e.textContent])
  .filter(([b]) => b.width && (b.height < 24 || b.width < 24)).map((found) => found[1])"""


def calm(browser):
    """Wait until the next words are those of the text as it is."""
    time.sleep(0.4)  # longer than the page rests before it asks
    browser.until(CALM)


def ban_e(browser):
    """Add a filter by keyboard alone."""
    browser.press("Alt+a")
    browser.until("document.activeElement.id === 'filter-search'")
    browser.type("ban")
    browser.until("document.querySelectorAll('#filter-list [role=option]').length > 0")
    browser.press("Enter")
    browser.until("document.activeElement.tagName === 'TEXTAREA'")
    browser.type("e")
    browser.press("Ctrl+Enter")
    browser.until("!document.querySelector('dialog[open]')")
    browser.until("document.querySelector('#filters').innerText.includes('takes away')")
    calm(browser)


def draw(browser, n=2, tokens=6):
    browser.js(
        f"for (const [id, v] of [['n', {n}], ['max_new_tokens', {tokens}]]) {{"
        "const e = document.getElementById(id); e.value = v;"
        "e.dispatchEvent(new Event('change')); }"
    )
    browser.press("Alt+t", "Ctrl+Enter")
    browser.until(DRAWN)


def only_document(studio):
    (path,) = studio.folder.glob("*.json")
    return json.loads(path.read_text())


def test_the_whole_way_by_keyboard(browser, studio):
    browser.go(studio.link)
    browser.type("I saw a ")
    calm(browser)
    ban_e(browser)
    assert "takes away" in browser.js("document.querySelector('#filters').innerText")
    removed = browser.js(
        "[...document.querySelectorAll('#removed .word')].map((e) => e.textContent)"
    )
    assert len(removed) >= 5
    assert all("e" in word.lower() or not word.isascii() for word in removed)
    assert browser.js("document.querySelector('#removed .badge').textContent") == "by filter 1"
    assert "from the end of the text" in browser.js("document.querySelector('#passage').innerText")

    browser.press("Alt+w", "ArrowDown")
    chosen = browser.js("document.querySelector('#words [aria-selected=true] .word').textContent")
    assert browser.js("document.activeElement.getAttribute('aria-activedescendant')") == "word-1"
    browser.press("Enter")
    written = browser.until(f"{TEXT} !== 'I saw a ' && {TEXT}")
    assert written == "I saw a " + chosen.replace("␣", " ").replace("↵", "\n").replace("⇥", "\t")

    draw(browser)
    drawn = browser.js("[...document.querySelectorAll('.drawn')].map((e) => e.textContent)")
    assert len(drawn) == 2
    assert all("e" not in each.lower() for each in drawn)
    assert "seed" in browser.js("document.querySelector('.facts').textContent")
    browser.press("Alt+2")
    browser.until(f"{TEXT} !== {json.dumps(written)}")
    accepted = browser.js(TEXT)
    assert accepted == written + drawn[1]
    assert browser.js("document.activeElement.id") == "text"
    browser.press("Ctrl+z")
    assert browser.js(TEXT) == written
    assert browser.js("document.querySelectorAll('.alternative').length") == 2
    browser.press("Ctrl+Shift+z")
    assert browser.js(TEXT) == accepted
    browser.press("Ctrl+s")
    browser.until(SAVED)
    held = only_document(studio)
    assert (held["text"], held["passage"]) == (accepted, len("I saw a "))
    assert held["filters"][0]["values"]["filters"][0]["values"]["strings"] == ["e"]

    browser.reload()
    assert browser.js(TEXT) == accepted
    assert browser.js("document.querySelectorAll('#filters .card').length") == 1
    browser.press("Alt+t", "Ctrl+z")
    assert browser.js(TEXT) == written


def test_nothing_is_lost_when_the_studio_is_gone_while_one_writes(browser, opening, tiny, tmp_path):
    folder = tmp_path / "documents"
    with opening(tiny, folder) as first:
        browser.go(first.link)
        browser.type("Before. ")
        browser.until(SAVED)
        browser.js("window.fetch = () => Promise.reject(new TypeError('gone'))")
        browser.type("And after.")
        browser.until(
            "document.querySelector('.notice.bad')?.textContent.includes('does not answer')"
        )
        assert "kept in this browser" in browser.js("document.querySelector('#saved').textContent")
        assert only_document(first)["text"] == "Before. "
        browser.reload()
        assert browser.js(TEXT) == "Before. And after."
        browser.until(SAVED)
        assert only_document(first)["text"] == "Before. And after."


def test_a_change_elsewhere_is_kept_beside_ones_own(browser, studio):
    browser.go(studio.link)
    browser.type("mine")
    browser.until(SAVED)
    held = only_document(studio)
    name = next(studio.folder.glob("*.json")).stem
    answer = httpx.put(
        f"{studio.url}/api/writing/documents/{name}",
        json={"text": "theirs", "revision": held["revision"]},
        headers={"Origin": studio.url},
        cookies=studio.cookies,
    )
    assert answer.status_code == 200
    browser.type(" too")
    browser.until("document.querySelector('.notice')?.textContent.includes('changed elsewhere')")
    texts = {json.loads(path.read_text())["text"] for path in studio.folder.glob("*.json")}
    assert texts == {"theirs", "mine too"}


def test_texts_are_never_read_as_markup(browser, studio):
    evil = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    held = {
        "title": evil, "text": evil, "brief": evil,
        "filters": [{"method": evil, "values": {"a": evil}, "on": True}],
        "alternatives": [{"text": evil, "at": 0, "end": evil, "seed": 1, "draw": 0}],
    }  # fmt: skip
    httpx.post(
        f"{studio.url}/api/writing/documents",
        json=held, headers={"Origin": studio.url}, cookies=studio.cookies,
    )  # fmt: skip
    browser.go(studio.link)
    calm(browser)
    browser.press("Alt+o")
    browser.until("document.querySelectorAll('#documents li').length > 0")
    assert browser.js(TEXT) == evil
    assert browser.js("document.querySelector('.drawn').textContent") == evil
    assert "no filter" in browser.js("document.querySelector('#filters').innerText")
    assert browser.js("document.querySelectorAll('main img, main script').length") == 0
    assert browser.js("document.title").startswith(evil[:20])


def test_drawing_can_be_stopped(browser, studio):
    browser.go(studio.link)
    browser.type("a")
    browser.js(
        "const e = document.getElementById('max_new_tokens'); e.value = 400;"
        "e.dispatchEvent(new Event('change'))"
    )
    service = studio.app.state.service
    browser.press("Alt+t", "Ctrl+Enter")
    until(lambda: service.running >= 3)
    browser.press("Escape")
    until(lambda: service.running == 0)
    assert browser.until("document.querySelector('#drawing').textContent") == "stopped"
    assert browser.js("document.querySelector('#stop').checkVisibility()") is False


def test_errors_say_what_to_do(browser, studio):
    browser.go(studio.link)
    browser.type("The ")
    ban_e(browser)
    browser.press("Alt+t")
    browser.js("document.querySelector('#passage button:last-child').click()")
    browser.until("document.querySelector('#filters .problem')")
    told = browser.js("document.querySelector('#filters .problem').textContent")
    assert "breaks at 'e '" in told
    assert "switch the filter off" in told
    assert browser.js("document.querySelector('#behind .broken').textContent").startswith("e")
    browser.press("Ctrl+Enter")
    browser.until("document.querySelector('#drawing .problem')")
    httpx.get(studio.link)
    browser.js("document.cookie")  # it is out of scripts' reach
    browser._call("Network.clearBrowserCookies")
    browser.type("x")
    told = browser.until("document.querySelector('.notice.bad')?.textContent")
    assert "Open the link" in told


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_holds_the_page_and_every_text_is_readable(browser, studio, dark):
    browser.screen(390, 844, phone=True, dark=dark)
    browser.go(studio.link)
    browser.tap("#text")
    browser.type("I saw a ")
    calm(browser)
    ban_e(browser)
    draw(browser)
    within = "document.documentElement.scrollWidth <= innerWidth"
    assert browser.js(within)
    assert browser.js(SMALL) == []
    assert browser.js(NAMELESS) == []
    before = browser.js(TEXT)
    browser.tap("#words .text")
    browser.until(f"{TEXT} !== {json.dumps(before)}")
    assert browser.js(CONTRAST) == []
    for key in ("Alt+o", "Alt+a", "F1"):
        browser.press(key)
        browser.until("document.querySelector('dialog[open]')")
        assert browser.js(CONTRAST) == []
        assert browser.js(within)
        browser.press("Escape")
        browser.until("!document.querySelector('dialog[open]')")
    browser.screen(1280, 900, dark=dark)
    assert browser.js(CONTRAST) == []


def test_colours_can_be_chosen_against_the_system(browser, studio):
    browser.screen(dark=True)
    browser.go(studio.link)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = browser.js(paper)
    browser.js("document.querySelector('#theme').click()")
    light = browser.js(paper)
    assert light != dark
    browser.reload()
    assert browser.js(paper) == light
    browser.js("localStorage.removeItem('studio-theme')")
