"""Chromium driven by chromedriver over WebDriver (https://www.w3.org/TR/webdriver2/): pages from files, the mouse, the keyboard."""

import json
import re
import shutil
import subprocess
import urllib.request

import pytest

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,900"]
needs_browser = pytest.mark.skipif(
    not all(map(shutil.which, ("chromium", "chromedriver"))),
    reason="needs a browser: apt-get install chromium chromium-driver (make setup-checks)",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's reference, by the standard
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "ArrowRight": "\ue014", "End": "\ue010"}


class Browser:
    """A session; `with` ends it."""

    def __init__(self):
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            port = next(
                found[1] for line in self._driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            self._session = f"http://127.0.0.1:{port}"
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": ARGUMENTS},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session += f"/session/{made['sessionId']}"
        except BaseException:
            self._end()
            raise

    def open(self, path, fragment=""):
        self._call("POST", "/url", {"url": f"{path.resolve().as_uri()}{fragment}"})

    def run(self, script):
        """What JavaScript returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, *keys):
        """Keys, by name, one after another."""
        pressed = [{"type": kind, "value": KEYS[key]} for key in keys for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keyboard", "actions": pressed})

    def hover(self, selector):
        """Move the mouse to the middle of the first element that a selector finds, in view."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        self._act(self._mouse(self._to(selector)))

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act(self._mouse(self._to(selector), *press))

    def complaints(self):
        """Messages of the console since the last call."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._call("DELETE", "", None)
        finally:
            self._end()

    def _end(self):
        self._driver.terminate()
        self._driver.wait()
        self._driver.stdout.close()

    def _to(self, selector):
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": {ELEMENT: found[ELEMENT]}}

    def _mouse(self, *actions):
        return {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)}

    def _act(self, source):
        self._call("POST", "/actions", {"actions": [source]})

    def _call(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._session + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]
