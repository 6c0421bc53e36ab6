"""The studio in a thread, and a headless Chromium that is driven through its own protocol."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
from apps import running
from waiting import PATIENT

from genwright.serving.studio.app import create_studio

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-sync "
    "--disable-component-update --no-first-run --remote-debugging-pipe --hide-scrollbars "
    "--force-color-profile=srgb --font-render-hinting=none --disable-dev-shm-usage"
)
KEYS = {
    "Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowDown": (40, ""),
    "ArrowUp": (38, ""), "F1": (112, ""), "Home": (36, ""), "End": (35, ""), "Backspace": (8, ""),
}  # fmt: skip
MODIFIERS = {"Alt": 1, "Ctrl": 2, "Shift": 8}


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, program, folder):
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]

        def hand_over():  # Chromium reads commands from 3 and answers on 4
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        line = [program, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            line, preexec_fn=hand_over, pass_fds=(3, 4), stderr=subprocess.DEVNULL
        )
        for fd in (theirs_in, theirs_out, *theirs):
            os.close(fd)
        self._ids, self._rest, self._session = itertools.count(1), b"", None
        self.errors = []
        found = self._call("Target.getTargets")["targetInfos"]
        page = next(each for each in found if each["type"] == "page")
        self._session = self._call(
            "Target.attachToTarget", targetId=page["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _call(self, method, **params):
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == number:
                assert "error" not in told, (method, told["error"])
                return told["result"]
            self._note(told)

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], 60)[0], "Chromium says nothing"
            self._rest += os.read(self._read, 1 << 20)
        told, _, self._rest = self._rest.partition(b"\0")
        return json.loads(told)

    def _note(self, told):
        if told.get("method") == "Runtime.exceptionThrown":
            details = told["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if told.get("method") == "Runtime.consoleAPICalled" and told["params"]["type"] == "error":
            said = [each.get("value", each.get("description")) for each in told["params"]["args"]]
            self.errors.append(said)
        if told.get("method") == "Log.entryAdded":
            entry = told["params"]["entry"]
            if entry["level"] == "error" and entry["source"] != "network":
                self.errors.append(entry["text"])

    def js(self, code):
        """Return what a piece of JavaScript says, promises awaited; an element is True."""
        said = self._call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in said, (code, said["exceptionDetails"])
        value = said["result"].get("value")
        return True if value == {} else value

    def go(self, url):
        """Open an address and wait until the page is ready."""
        self._call("Page.navigate", url=url)
        self.until("document.body?.dataset.ready === 'yes'")

    def reload(self):
        self.js("document.body.dataset.ready = 'no'")
        self._call("Page.reload")
        self.until("document.body?.dataset.ready === 'yes'")

    def until(self, condition):
        """Wait until a condition of the page holds; return its value."""
        end = time.monotonic() + PATIENT
        while not (value := self.js(condition)):
            if time.monotonic() > end:
                told = self.js("document.body.innerText")
                raise AssertionError(f"never came to hold: {condition}\n{told}\n{self.errors}")
            time.sleep(0.05)
        return value

    def press(self, *names):
        """Press keys: `press("Ctrl+Enter", "a")`."""
        for name in names:
            *held, key = name.split("+") if len(name) > 1 else [name]
            code, text = KEYS[key] if key in KEYS else (ord(key.upper()), key)
            bits = sum(MODIFIERS[each] for each in held)
            if key in KEYS:
                where = key
            else:
                where = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"
            common = {
                "key": key, "code": where, "modifiers": bits, "windowsVirtualKeyCode": code,
            }  # fmt: skip
            typed = {"text": text} if text and not bits & 3 else {}
            self._call("Input.dispatchKeyEvent", type="keyDown", **common, **typed)
            self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        """Put text in where the focus is, as a keyboard or an input method does."""
        self._call("Input.insertText", text=text)

    def screen(self, width=1280, height=900, *, phone=False, dark=False, scale=1):
        """Take another size and colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self._call("Emulation.setEmulatedMedia", features=[scheme, calm])
        self._call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def tap(self, selector):
        """Click in the middle of an element."""
        box = self.js(
            "(e => { e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def picture(self, path):
        """Write what is seen as PNG."""
        told = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(told["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(300)
        os.close(self._write)
        os.close(self._read)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """A page without memory of other tests; no script of it may fail."""
    chromium.errors = []
    chromium.screen()
    yield chromium
    assert chromium.errors == []
    chromium._call("Page.navigate", url="about:blank")


class Open:
    """A studio that is open: its address, link and folder."""

    def __init__(self, app, url, folder):
        self.app, self.url, self.folder = app, url, folder
        self.link = f"{url}/?token={app.state.token}"

    @property
    def cookies(self):
        return {f"genwright-studio-{self.url.rsplit(':', 1)[1]}": self.app.state.token}


@contextmanager
def opened(lm, folder, **settings):
    app = create_studio(lm, folder=folder, **settings)
    with running(app) as url:
        yield Open(app, url, folder)


@pytest.fixture(scope="session")
def opening():
    """Return what opens a studio in a thread."""
    return opened


@pytest.fixture
def studio(tiny, tmp_path):
    with opened(tiny, tmp_path / "documents") as studio:
        yield studio
