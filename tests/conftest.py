"""Fixtures for every test."""

from pathlib import Path

import pytest

from fakes import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a tiny kernel and no patches yet."""
    return Project.make(tmp_path)
