"""Plain http, which the SDK allows when endpoint and key are given apart."""

from azure.communication.identity import CommunicationIdentityClient
from azure.core.credentials import AzureKeyCredential

import emulator


def test_a_whole_life_over_http():
    endpoint, key = emulator.parts(emulator.PLAIN_CONNECTION_STRING)
    assert endpoint.startswith("http://127.0.0.1:")
    client = CommunicationIdentityClient(endpoint, AzureKeyCredential(key))
    user, token = client.create_user_and_token(["voip"])
    assert emulator.PLAIN.token(token.token)["state"] == "valid"
    client.revoke_tokens(user)
    client.delete_user(user)
    assert emulator.PLAIN.alive() == []
