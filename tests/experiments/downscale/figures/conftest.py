import pytest

from .synthetic import synthetic


@pytest.fixture(scope="session", params=[(32,), (16, 16)], ids=["1d", "2d"])
def evidence(request):
    return synthetic(request.param)


@pytest.fixture
def make_evidence():
    return synthetic
