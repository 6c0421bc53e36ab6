"""The model that is trained is the tiny Llama."""

import pytest


@pytest.fixture(scope="session")
def tiny(tiny_llama):
    """Return the folder of the tiny Llama."""
    return tiny_llama
