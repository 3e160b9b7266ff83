"""What a user of the SDK does on a good day."""

from datetime import datetime, timedelta, timezone

import pytest
from azure.communication.identity import CommunicationTokenScope

CHAT, VOIP = CommunicationTokenScope.CHAT, CommunicationTokenScope.VOIP


def raw_id(user):
    return user.properties["id"]


def lifetime(token):
    """In minutes, from now."""
    # Seven fractional digits are more than Python reads.
    text = token.expires_on if isinstance(token.expires_on, str) else token.expires_on.isoformat()
    seconds = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return (seconds - datetime.now(timezone.utc)) / timedelta(minutes=1)


def test_a_user_is_created_and_deleted(client, admin):
    user = client.create_user()
    assert raw_id(user) in admin.alive()
    client.delete_user(user)
    assert raw_id(user) not in admin.alive()


def test_a_user_is_created_with_a_token_in_one_call(client, admin):
    before = admin.last_call()
    user, token = client.create_user_and_token([CHAT, VOIP])
    validated = admin.token(token.token)
    assert validated["state"] == "valid"
    assert validated["token"]["identity"] == raw_id(user)
    assert validated["token"]["scopes"] == ["chat", "voip"]
    assert [call["operation"] for call in admin.calls_since(before)] == ["create"]
    assert lifetime(token) == pytest.approx(1440, abs=2)


@pytest.mark.parametrize("scopes", [["chat"], ["voip"], ["chat.join"], ["chat.join.limited"], ["voip.join"]])
def test_a_token_has_the_scopes_asked_for(client, admin, scopes):
    token = client.get_token(client.create_user(), scopes)
    assert admin.token(token.token)["token"]["scopes"] == scopes


@pytest.mark.parametrize("minutes", [60, 90, 1440])
def test_a_token_lives_as_long_as_asked_for(client, minutes):
    token = client.get_token(client.create_user(), [CHAT], token_expires_in=timedelta(minutes=minutes))
    assert lifetime(token) == pytest.approx(minutes, abs=2)
    _, token = client.create_user_and_token([CHAT], token_expires_in=timedelta(minutes=minutes))
    assert lifetime(token) == pytest.approx(minutes, abs=2)


def test_revoked_tokens_are_invalid_and_later_ones_are_not(client, admin):
    user, first = client.create_user_and_token([VOIP])
    admin.set_clock("2s")
    client.revoke_tokens(user)
    assert admin.token(first.token)["state"] == "revoked"
    admin.set_clock("4s")
    assert admin.token(client.get_token(user, [VOIP]).token)["state"] == "valid"


def test_deleting_a_user_ends_its_tokens(client, admin):
    user, token = client.create_user_and_token([VOIP])
    client.delete_user(user)
    assert admin.token(token.token)["state"] == "identityDeleted"


def test_the_sdk_sends_what_it_is_known_to_send(kind, client, admin):
    user = client.create_user()
    before = admin.last_call()
    client.revoke_tokens(user)
    (call,) = admin.calls_since(before)
    assert (call["apiVersion"], call["signedBy"]) == ("2023-10-01", "primary")
    # The synchronous client sends the colons of an id encoded, the asynchronous one raw; each signs what it sends.
    colon = "%3A" if kind == "sync" else ":"
    assert call["path"].startswith(f"/identities/8{colon}acs{colon}")
    assert call["requestId"]
