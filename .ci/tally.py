"""Add up what every step counted, and print CI's last line.

Usage: tally.py FAILED_STEPS CHECK_JSON… [JUNIT_XML…]; a report that is missing is a failure.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def of_check(path: Path) -> Counter[str]:
    """What `make check` or `make check-vm` counted."""
    return Counter(json.loads(path.read_text(encoding="utf-8")))


def of_junit(path: Path) -> Counter[str]:
    """What one run of run_tests.py counted."""
    total: Counter[str] = Counter()
    for suite in ET.parse(path).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it for us
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total["failed"] += failed
        total["skipped"] += skipped
        total["passed"] += int(suite.get("tests", 0)) - failed - skipped
    return total


def main(argv: list[str]) -> int:
    """Print the sum; the status is 1 if anything failed or nothing passed."""
    steps, *reports = argv
    total = Counter(passed=0, failed=0, skipped=0)
    for path in map(Path, reports):
        if not path.is_file():
            print(f"{path}: no such report")
            total["failed"] += 1
        else:
            total += of_check(path) if path.suffix == ".json" else of_junit(path)
    # A step can fail without any test of its own having failed: a build, a splat, no boot.
    total["failed"] = max(total["failed"], int(steps))
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
