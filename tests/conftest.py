"""Fixtures for every test."""

from pathlib import Path

import pytest

from fakes import Project


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record", action="store_true", help="let tests/golden/ be what tests/vm/ sees now"
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a tiny kernel and no patches yet."""
    return Project.make(tmp_path)
