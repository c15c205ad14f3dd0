"""The figures of restores in docs/scaling.md are those of its formula, the price file and the last report of the benchmarks."""

import math
import re
from pathlib import Path

from tablekeep.engine.prices import FILE, load_prices

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs" / "scaling.md"
TERABYTE, ITEM = 10**12, 600
WAYS = ("batch-write", "import-table", "pitr", "proof")


def rates() -> dict[str, float]:
    """r, q and b as the document gives them."""
    found = re.findall(r"^\| ([rqb]), .*? \| ([\d,]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: float(value.replace(",", "")) for name, value in found}


def reckoned(way: str, size: int, limit: float, workers: int, rate: dict[str, float]) -> tuple[float | None, float]:
    """Hours (None where only the service knows) and dollars.

    :param limit: write or read units a second.
    """
    prices, items = load_prices(FILE), size / ITEM
    if way == "batch-write":
        units = items * math.ceil(ITEM / 1024)
        return max(
            units / limit, items / (workers * rate["r"])
        ) / 3600, units / 1e6 * prices.write_request_units_million
    if way == "import-table":
        return items / (workers * rate["q"]) / 3600, size / 1024**3 * prices.import_gb
    if way == "pitr":
        return None, size / 1024**3 * prices.restore_gb
    units = size / 4096
    return max(units / limit, items / (workers * rate["b"])) / 3600, units / 1e6 * prices.read_request_units_million


def shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def rows(rate: dict[str, float]) -> list[str]:
    """The document's table: way, units a second, processes, hours and dollars for 1 TB and for 10 TB."""
    cases: list[tuple[str, int, int]] = [
        ("batch-write", 4_000, 1), ("batch-write", 40_000, 1), ("batch-write", 40_000, 4), ("batch-write", 400_000, 32),
        ("import-table", 0, 1), ("import-table", 0, 8), ("pitr", 0, 0), ("proof", 12_000, 1), ("proof", 40_000, 4),
    ]  # fmt: skip
    lines = []
    for way, limit, workers in cases:
        cells = [f"`{way}`" if way != "proof" else "the proof", f"{limit:,}" if limit else "–", str(workers or "–")]
        for size in (TERABYTE, 10 * TERABYTE):
            cells += [shown(value) for value in reckoned(way, size, limit or 1, workers, rate)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def test_the_hours_and_dollars_of_restores_are_those_of_the_formula() -> None:
    text = DOCUMENT.read_text()
    table = [
        line for line in text.splitlines() if re.match(r"\| (`(batch-write|import-table|pitr)`|the proof) \|", line)
    ]
    assert table == rows(rates())


def test_the_rates_are_those_of_the_last_report() -> None:
    report, rate = (PROJECT / "benchmarks" / "RESULTS.md").read_text(), rates()
    for name, client in [("r", "without the proof, one worker"), ("q", "staging for ImportTable alone")]:
        measured = re.search(rf"^\| tablekeep restore, {client} \| ([\d,]+) \|", report, re.MULTILINE)
        assert measured, client
        assert rate[name] == round(float(measured[1].replace(",", "")), -3)


def test_the_prices_are_those_of_the_file() -> None:
    prices, text = load_prices(FILE), DOCUMENT.read_text()
    assert f"| {prices.write_request_units_million}, {prices.read_request_units_million} |" in text
    assert f"| {prices.import_gb}, {prices.restore_gb} |" in text
    assert f"UNCONFIRMED since {prices.as_of}" in text
