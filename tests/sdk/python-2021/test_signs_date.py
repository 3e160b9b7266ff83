"""The SDK of 2021, which signs `date` in place of `x-ms-date` and asks for api-version 2021-03-07."""

import json
import os
import urllib.request

import pytest
from azure.communication.identity import CommunicationIdentityClient
from azure.communication.identity._shared import policy
from azure.core.exceptions import ClientAuthenticationError

CONNECTION_STRING = os.environ["COMMUNICATION_SERVICES_CONNECTION_STRING"]


@pytest.fixture
def client():
    return CommunicationIdentityClient.from_connection_string(CONNECTION_STRING)


def admin(path, **body):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(
        os.environ["ACS_EMULATOR_ADMIN_URL"] + path, data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_it_really_signs_date():
    with open(policy.__file__, encoding="utf-8") as source:
        assert '"date;host;x-ms-content-sha256"' in source.read()


def test_a_whole_life(client):
    user, token = client.create_user_and_token(["chat", "voip"])
    assert admin("tokens/validate", token=token.token)["state"] == "valid"
    assert client.get_token(user, ["chat"]).token
    client.revoke_tokens(user)
    client.delete_user(user)
    assert admin("state")["identities"] == []
    calls = admin("calls")["calls"]
    assert {call["apiVersion"] for call in calls} == {"2021-03-07"}
    assert {call["signedBy"] for call in calls} == {"primary"}


def test_a_wrong_key_is_denied():
    endpoint = CONNECTION_STRING.split(";", 1)[0]
    client = CommunicationIdentityClient.from_connection_string(endpoint + ";accesskey=d3Jvbmcga2V5")
    with pytest.raises(ClientAuthenticationError, match="Denied by the resource provider."):
        client.create_user()
