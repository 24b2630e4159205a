"""A workspace for a pytest test: `pytest_plugins = ["sandbox.fixture"]`. Nothing else here needs pytest."""

from collections.abc import Iterator

import pytest

from sandbox.sandbox import Sandbox


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    """A running, empty workspace. At the end, the test fails if the app made any mistake on the wire."""
    with Sandbox() as sandbox:
        yield sandbox
        sandbox.expect_no_problems()
