"""What a run leaves behind, for people and for machines: results, JUnit, KTAP, HTML, GitHub.

results.py has the values and kcidb.py the file; junit.py, html.py and the rest render them;
store.py reads and writes a report's folder; compare.py and merge.py take several runs.
"""

from harness.report.folder import REPORTS, new_folder, point_to_latest, read_manifest, write
from harness.report.places import Resolver, annotate
from harness.report.results import Result, Results, VariantRecord, collect
from harness.report.store import leave, load

__all__ = [
    "REPORTS",
    "Resolver",
    "Result",
    "Results",
    "VariantRecord",
    "annotate",
    "collect",
    "leave",
    "load",
    "new_folder",
    "point_to_latest",
    "read_manifest",
    "write",
]
