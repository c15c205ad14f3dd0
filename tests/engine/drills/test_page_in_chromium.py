"""The drill's page in a real browser: nothing overflows, no two words of a picture lie upon each other, it prints."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tablekeep.engine.drills.report import DrillReport
from tablekeep.engine.drills.table_page import drill_page
from tests.servers import program

URI = "s3://acme-backups/dynamodb/v1/123456789012/us-east-1/dynamodb/orders/20261123T020000Z-4f9c2a1b/manifest.json"
WORDS_UPON_WORDS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map(one => [one.textContent, one.getBoundingClientRect()]);
    boxes.forEach(([text, box], n) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        found.push(`${text} leaves the picture`);
      for (const [other, its] of boxes.slice(n + 1))
        if (box.left < its.right && its.left < box.right && box.top < its.bottom && its.top < box.bottom)
          found.push(`${text} lies upon ${other}`);
    });
  }
  return found;
}"""


def report(**more: Any) -> DrillReport:
    phases = {
        "find": 1.2,
        "verify": 4.1,
        "create": 12.0,
        "load": 301.0,
        "indexes": 120.0,
        "proof": 70.0,
        "settings": 4.0,
    }
    given: dict[str, Any] = {
        "table": "orders", "backup": URI, "chosen": "at random, number 3 of 12 of the last 30 days", "scratch_table": "tablekeep-drill-orders-x",
        "started": "2026-11-23T06:00:01.000Z", "items": 1_204_331, "all_items": 1_204_331, "today_items": 1_300_000,
        "as_of": "2026-11-23T02:00:00.000Z", "content_hash": "1204331-" + "ab" * 32, "proved": True, "rto_seconds": 512.3,
        "rpo_seconds": 14401.0, "predicted_seconds": 553.0, "objectives": {"rto_seconds": 900.0, "rpo_seconds": 93600.0}, "phases": phases,
        "torn_down": True, "passed": True, "seconds": 540.0,
    }  # fmt: skip
    return DrillReport(**(given | more))


def before(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"at": f"2026-{1 + n % 12:02d}-01T06:00:00Z", "passed": n % 5 != 3, "rto_seconds": 300.0 + 17 * n, "items": 1_000_000, "objective": 900.0}
        | more
        for n in range(count)
    ]  # fmt: skip


CASES = {
    "passed": (report(), before(9)),
    "first": (report(), []),
    "failed": (
        report(
            passed=False, proved=False, content_hash="", rto_seconds=None, predicted_seconds=None, problems=["the backup is damaged", "x" * 300],
            differing=[
                {"key": "ab" * 32, "state": "different", "attributes": [
                    {"path": "price", "left": "N", "right": "S"}, {"path": "a-very-long-attribute-name" * 5, "left": None, "right": "M"}
                ]}
            ],
            settings=[{"name": "index by-status", "expected": {"key": ["status (S) HASH"]}, "actual": None, "told": False}],
            checks=[{"name": "totals", "passed": False, "why": "it gave bool, not true"}],
        ),
        before(29),
    ),
    "nothing restored": (report(passed=False, proved=False, phases={}, rto_seconds=None, problems=["the backup is damaged"]), before(2)),
    "no objective": (report(objectives={"rto_seconds": None, "rpo_seconds": None}), before(3, objective=None)),
    "far objective": (report(objectives={"rto_seconds": 86400.0, "rpo_seconds": None}), before(3, objective=86400.0)),
    "near objective": (report(rto_seconds=899.0), before(3)),
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> Any:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "chromium-browser"), args=["--no-sandbox"]
        )
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("case", CASES)
def test_it_looks_right(page: Page, tmp_path: Path, case: str, width: int) -> None:
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.set_viewport_size({"width": width, "height": 900})
    file = tmp_path / "drill.html"
    file.write_text(drill_page(*CASES[case]))
    page.goto(file.as_uri())
    assert told == [], "nothing is blocked, nothing fails"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing is cut off at the right"
    assert page.evaluate(WORDS_UPON_WORDS) == []
    assert page.locator(".verdict").bounding_box()["y"] < 300  # type: ignore[index]
    assert page.pdf(format="A4").count(b"/Type /Page\n") <= 3
