"""One browser and one JupyterLab for all tests here; without Chromium they are skipped."""

from __future__ import annotations

import pytest

from .laboratory import CHROMIUM, Laboratory, flags


@pytest.fixture(scope="package")
def laboratory(tmp_path_factory):
    """A JupyterLab server with a browser; closed before other tests need an event loop of their own."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags())
        lab = Laboratory(tmp_path_factory.mktemp("laboratory"), browser)
        try:
            yield lab
        finally:
            lab.close()
            browser.close()
