"""A headless browser and a server to look at with it, for the tests of what is seen on a screen."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (Debian: apt install chromium)")


@contextmanager
def chromium(**context) -> Iterator:
    """A page of a fresh headless Chromium; `context` goes to Playwright's `new_context`, such as `viewport`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser.new_context(**context).new_page()
        finally:
            browser.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def serving(command: Sequence[str | Path], url: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a server until the block ends; the block starts when `url` answers. What it prints goes to `log`."""
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
        try:
            _wait_for(url, server, log)
            yield
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(url: str, server: subprocess.Popen, log: Path, seconds: int = 90) -> None:
    for _ in range(seconds * 4):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    raise TimeoutError(f"{url} did not answer within {seconds} s: {log.read_text()[-2000:]}")
