"""How long tests took in earlier runs: build/durations.json. See `balance` for what for."""

import json
from collections.abc import Iterable
from pathlib import Path

from harness import report
from harness.model import ROOT, Status
from harness.report import VariantRecord
from harness.run import balance

PLACE = ROOT / "build/durations.json"


def known(place: Path = PLACE) -> dict[str, dict[str, float]]:
    """Seconds by variant and test; empty when nothing legible was kept."""
    try:
        kept = json.loads(place.read_text("utf-8"))
        return {
            str(variant): {str(test): float(took) for test, took in tests.items()}
            for variant, tests in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def learn(records: Iterable[VariantRecord], place: Path = PLACE) -> None:
    """Keep what the last round took. What has not run says nothing."""
    ran = {
        record.name: [
            (item, verdict.seconds)
            for item, verdict in record.verdicts.items()
            if verdict.status is not Status.MISS
        ]
        for record in records
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    report.write(place, balance.learned(known(place), ran))
