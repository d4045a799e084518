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
from selenium.webdriver.support.ui import WebDriverWait

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
    """Open a run's page; returns the seconds until it is loaded and drawn.

    On a busy machine they are those for which Chromium worked at it.
    """
    path = directory / "report.html"
    path.write_text(rendered(name), encoding="utf-8")
    blank = directory / "blank.html"
    blank.touch()
    browser.get(blank.as_uri())
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    begun, worked = time.monotonic(), work(browser)
    browser.get(path.as_uri())
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 0))")
    spent, seconds = time.monotonic() - begun, work(browser) - worked
    # Less than before is of another process: Chromium may take a new one for a page.
    return min(spent, seconds) if seconds > 0 else spent


def work(browser: Any) -> float:
    """Seconds of processor time that the page's main thread took."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


@every_run
def test_it_loads_quickly_and_without_a_complaint(browser: Any, tmp_path: Path, name: str) -> None:
    opened(browser, tmp_path, name)
    assert opened(browser, tmp_path, name) < SECONDS
    assert browser.get_log("browser") == []
    asked_for = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked_for if not name.startswith("data:")] == []


def by_mouse(link: Any) -> None:
    # What comes into view is laid out only then, and moves what is below it.
    link.parent.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.parent.execute_async_script(
        "const [link, done] = arguments; let at = NaN;"
        "const look = () => { const now = link.getBoundingClientRect().y;"
        " if (now === at) done(); else { at = now; requestAnimationFrame(look); } }; look()",
        link,
    )
    link.click()


def by_keyboard(link: Any) -> None:
    link.send_keys(Keys.ENTER)


def followed(browser: Any, link: Any, follow: Any) -> Any:
    """Follow a link within the page; returns where it leads."""
    place = link.get_attribute("href").partition("#")[2]
    follow(link)
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script("return location.hash") == f"#{place}")
    return browser.find_element(By.CSS_SELECTOR, ":target")


@pytest.mark.parametrize("follow", [by_mouse, by_keyboard])
@pytest.mark.parametrize("name", ["leaking", "leaking-64"])
def test_from_a_failing_cell_to_its_frames(browser: Any, tmp_path: Path, name: str, follow: Any) -> None:
    opened(browser, tmp_path, name)
    target = followed(browser, browser.find_element(By.CSS_SELECTOR, ".matrix td.cleartext a"), follow)
    assert target.is_displayed()
    frame = followed(browser, target.find_element(By.CSS_SELECTOR, "a[href^='#frame-']"), follow)
    assert frame.get_attribute("id").startswith("frame-")
    assert frame.is_displayed(), "the frame stays folded"
    assert "0000  02 00 00 00 00 02" in frame.text


@pytest.fixture(scope="module")
def axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed: scripts/setup-browser installs it")
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8")


def serious(browser: Any, axe: str, where: object, options: dict[str, Any]) -> list[tuple[str, str]]:
    browser.execute_script(axe)
    ask = "axe.run(arguments[0], arguments[1]).then(arguments[2])"
    found = browser.execute_async_script(ask, where, {"resultTypes": ["violations"], **options})
    rows = [row for row in found["violations"] if row["impact"] in ("serious", "critical")]
    return [(row["id"], row["nodes"][0]["html"]) for row in rows]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["healthy", "leaking", "change"])
def test_axe_finds_no_serious_violation(browser: Any, axe: str, tmp_path: Path, name: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    opened(browser, tmp_path, name)
    assert serious(browser, axe, {"include": ["html"]}, {}) == []


def test_axe_finds_none_at_64_nodes_either(browser: Any, axe: str, tmp_path: Path) -> None:
    opened(browser, tmp_path, "leaking-64")
    # For the colours axe compares every element with all others, which takes minutes for 4,032 cells of a few kinds.
    assert serious(browser, axe, {"include": ["html"]}, {"rules": {"color-contrast": {"enabled": False}}}) == []
    of_each_kind = ["header", "#finding-1", ".matrix thead", ".matrix tbody tr:nth-child(2)", ".panels", "#checks ~ *"]
    colours = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    assert serious(browser, axe, {"include": [[one] for one in of_each_kind]}, colours) == []


def test_on_paper_everything_is_unfolded(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, "leaking")
    folded = browser.find_element(By.CSS_SELECTOR, "#frame-1-1")
    height = "return arguments[0].checkVisibility({contentVisibilityAuto: false}) ? arguments[0].offsetHeight : 0"
    assert browser.execute_script(height, folded) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(height, folded) > 50
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
