"""The page in headless Chromium: quick, quiet, usable by keyboard, and without a serious violation that axe finds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.html.test_page import RUNS, rendered

if not importlib.util.find_spec("selenium") or not shutil.which("chromium") or not shutil.which("chromedriver"):
    pytest.skip("Chromium and selenium are not installed: scripts/setup-browser installs them", allow_module_level=True)

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SECONDS = 2.0
every_run = pytest.mark.parametrize("name", list(RUNS))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--disable-gpu", "--window-size=1280,1600", "--disable-dev-shm-usage"):
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own does not work for root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def opened(browser: Any, directory: Path, name: str) -> float:
    """Open a run's page; returns the seconds until it is loaded and drawn."""
    path = directory / "report.html"
    path.write_text(rendered(name), encoding="utf-8")
    begun = time.monotonic()
    browser.get(path.as_uri())
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 0))")
    return time.monotonic() - begun


@every_run
def test_it_loads_quickly_and_without_a_complaint(browser: Any, tmp_path: Path, name: str) -> None:
    opened(browser, tmp_path, name)
    assert min(opened(browser, tmp_path, name) for _ in range(2)) < SECONDS
    assert browser.get_log("browser") == []
    asked_for = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked_for if not name.startswith("data:")] == []


@pytest.mark.parametrize("name", ["leaking", "leaking-64"])
def test_by_keyboard_from_a_failing_cell_to_its_frames(browser: Any, tmp_path: Path, name: str) -> None:
    opened(browser, tmp_path, name)
    browser.find_element(By.CSS_SELECTOR, ".matrix td.cleartext a").send_keys(Keys.ENTER)
    target = browser.find_element(By.CSS_SELECTOR, ":target")
    assert target.is_displayed()
    target.find_element(By.CSS_SELECTOR, "a[href^='#frame-']").send_keys(Keys.ENTER)
    frame = browser.find_element(By.CSS_SELECTOR, ":target")
    assert frame.get_attribute("id").startswith("frame-")
    assert frame.is_displayed(), "the frame stays folded"
    assert "0000  02 00 00 00 00 02" in frame.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["healthy", "leaking", "change"])
def test_axe_finds_no_serious_violation(browser: Any, tmp_path: Path, name: str, scheme: str) -> None:
    axe = importlib.util.find_spec("axe_selenium_python")
    if axe is None or axe.origin is None:
        pytest.skip("axe-core is not installed: scripts/setup-browser installs it")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    opened(browser, tmp_path, name)
    browser.execute_script(Path(axe.origin).parent.joinpath("node_modules/axe-core/axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    serious = [row for row in found["violations"] if row["impact"] in ("serious", "critical")]
    assert [(row["id"], row["nodes"][0]["html"]) for row in serious] == []


def test_on_paper_everything_is_unfolded(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, "leaking")
    folded = browser.find_element(By.CSS_SELECTOR, "#frame-1-1")
    height = "return arguments[0].checkVisibility({contentVisibilityAuto: false}) ? arguments[0].offsetHeight : 0"
    assert browser.execute_script(height, folded) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(height, folded) > 50
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
