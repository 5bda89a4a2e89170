"""The folders below build/reports/, and what is read and written there as a whole."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.model import ROOT, BuildPaths

REPORTS = ROOT / "build/reports"


def new_folder(base: Path = REPORTS, now: datetime | None = None) -> Path:
    """Make build/reports/<time>/, which is nobody else's."""
    stamp = (now or datetime.now().astimezone()).strftime("%Y-%m-%d-%H%M%S")
    base.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = base / (f"{stamp}-{number}" if number > 1 else stamp)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def point_to_latest(folder: Path) -> None:
    """Let build/reports/latest lead to `folder`."""
    link = folder.parent / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.parent / "latest")


def read_manifest(paths: BuildPaths) -> Mapping[str, Any]:
    """What the variant was built from; empty when the build left no readable manifest."""
    try:
        manifest = json.loads(paths.manifest.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in one step: a reader sees the whole file or none."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text in one step. What UTF-8 has no bytes for becomes a question mark."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, "utf-8", "replace")
    partial.replace(path)
