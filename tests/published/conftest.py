"""What tests of the published model share."""

import pytest

from tests.hub import DATA, Server


@pytest.fixture
def server(monkeypatch):
    """A hub that HF_ENDPOINT names and that serves DATA as /data."""
    server = Server()
    server.files["/data"] = DATA
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    yield server
    server.shutdown()
    server.server_close()
