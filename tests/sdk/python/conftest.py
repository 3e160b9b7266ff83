"""Both faces of the SDK, and a clean emulator for each test."""

import pytest

import emulator
from clients import make


@pytest.fixture(autouse=True)
def admin():
    for each in (emulator.TLS, emulator.PLAIN):
        each.reset()
    yield emulator.TLS
    for each in (emulator.TLS, emulator.PLAIN):
        each.reset()


@pytest.fixture(params=["sync", "aio"])
def kind(request):
    return request.param


@pytest.fixture
def client(kind):
    return make(kind)
