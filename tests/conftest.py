"""Reports made from synthetic runs, and a browser to open them in."""

import os
import shutil
from contextlib import contextmanager

import pytest
import synthetic

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += [f"--disable-{what}" for what in ("background-networking", "component-update", "sync")]


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Make a report of runs, pairs of a name (or a header) and records."""
    from linbench.run.runs import Runs
    from linbench.studies import report_of

    def make(*runs):
        folder = tmp_path_factory.mktemp("runs")
        paths = []
        for i, (named, records) in enumerate(runs):
            head = synthetic.header(named) if isinstance(named, str) else named
            paths.append(synthetic.write(folder / f"{i}.jsonl", records, head))
        return report_of(Runs.read(paths))

    return make


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, the one of the system: nothing is downloaded."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        reason = "Chromium is not installed (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Open a page, whatever it asks for and complains of kept in `requests` and `complaints`."""

    @contextmanager
    def opened(path, **how):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | how))
        page = context.new_page()
        page.requests, page.complaints = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda said: page.complaints.append(said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
        page.set_default_timeout(5000)
        page.goto(path.as_uri())
        yield page
        context.close()

    return opened
