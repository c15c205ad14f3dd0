"""Pictures for the README, taken by a headless Chromium of the demo that runs now: `make demo`, then this in another terminal.

Needs Chromium (Debian's package) on the PATH. Writes docs/pictures/*.png.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800


def main() -> None:
    """Takes all pictures; ends with one line when something is missing."""
    state_file, browser_path = (
        ROOT / ".demo" / "state.json",
        shutil.which("chromium") or shutil.which("chromium-browser"),
    )
    if not state_file.is_file():
        sys.exit("screenshots: no demo runs; start one with `make demo`")
    if browser_path is None:
        sys.exit("screenshots: there is no Chromium on the PATH")
    state = json.loads(state_file.read_text())
    PICTURES.mkdir(parents=True, exist_ok=True)
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((ROOT / ".demo" / "result.html").as_uri())
        page.screenshot(path=PICTURES / "demo-result.png", full_page=True)
        log_in(page, state)
        take(page, f"{state['url']}/dags", "airflow-dags.png", "backup__flights")
        take(page, f"{state['url']}/dags/backup__flights", "airflow-backup.png", "publish")
        take(page, f"{state['url']}/dags/restore__orders/", "airflow-restore.png", "restore")
        browser.close()


def log_in(page: Page, state: dict[str, str]) -> None:
    """Through Airflow's own form."""
    page.goto(f"{state['url']}/")
    page.get_by_role("textbox").first.fill(state["user"])
    page.locator("input[type=password]").fill(state["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "login" not in url)


def take(page: Page, url: str, name: str, text: str) -> None:
    """One page, once it shows a text."""
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    page.wait_for_timeout(2500)  # Airflow draws its charts after the text
    page.screenshot(path=PICTURES / name)
    print(f"docs/pictures/{name}")


if __name__ == "__main__":
    main()
