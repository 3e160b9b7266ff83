"""How the service's refusals and faults come out of the SDK."""

from datetime import timedelta

import pytest
from azure.communication.identity import CommunicationUserIdentifier
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError

import emulator
from clients import make

FOREIGN = CommunicationUserIdentifier(
    "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000"
)


def refusal(call, *args, **kwargs):
    """Status and error code."""
    with pytest.raises(HttpResponseError) as raised:
        call(*args, **kwargs)
    return raised.value.status_code, raised.value.error.code


def test_a_wrong_key_is_denied(kind, admin):
    endpoint, _ = emulator.parts(emulator.CONNECTION_STRING)
    client = make(kind, f"endpoint={endpoint}/;accesskey=d3Jvbmcga2V5")
    with pytest.raises(ClientAuthenticationError) as raised:
        client.create_user()
    assert "Denied by the resource provider." in str(raised.value)
    assert raised.value.status_code == 401
    assert admin.calls_since(0)[-1]["errorCode"] == "Denied"


def test_a_clock_that_is_far_off_is_denied(client, admin):
    admin.set_clock("6m")
    with pytest.raises(ClientAuthenticationError):
        client.create_user()
    admin.set_clock("4m")
    client.create_user()


def test_an_identity_of_another_resource_is_not_owned(client):
    for call in (client.revoke_tokens, client.delete_user, lambda user: client.get_token(user, ["chat"])):
        assert refusal(call, FOREIGN) == (401, "IdentityNotOwned")


@pytest.mark.parametrize("minutes", [59, 1441])
def test_a_lifetime_outside_of_the_bounds_is_invalid(client, minutes):
    user = client.create_user()
    expiry = {"token_expires_in": timedelta(minutes=minutes)}
    assert refusal(client.get_token, user, ["chat"], **expiry) == (400, "ValidationError")
    assert refusal(client.create_user_and_token, ["chat"], **expiry) == (400, "ValidationError")


def test_scopes_are_required(client):
    user = client.create_user()
    for scopes in (None, []):
        assert refusal(client.get_token, user, scopes) == (400, "ValidationError")


def test_a_deleted_user_gets_no_token(client):
    user = client.create_user()
    client.delete_user(user)
    assert refusal(client.get_token, user, ["chat"]) == (404, "IdentityNotFound")
    client.delete_user(user)


def test_an_unknown_version_is_unsupported(kind):
    assert refusal(make(kind, api_version="2020-02-02").create_user) == (400, "UnsupportedApiVersion")


def test_a_throttled_call_is_repeated_after_the_time_told(kind, admin):
    before = admin.last_call()
    admin.inject(times=1, effect={"kind": "throttle", "retryAfter": "1"})
    make(kind).create_user()
    assert [call["status"] for call in admin.calls_since(before)] == [429, 201]


def test_a_throttled_call_that_is_not_told_when_to_come_back_fails(kind, admin):
    admin.inject(effect={"kind": "throttle"})
    assert refusal(make(kind, retry_total=0).create_user) == (429, "TooManyRequests")


def test_the_services_own_limit_throttles(client, admin):
    user = client.create_user()
    admin.set_limits(issue=1, window="3s")
    before = admin.last_call()
    client.get_token(user, ["chat"])
    client.get_token(user, ["chat"])
    statuses = [call["status"] for call in admin.calls_since(before)]
    assert statuses.count(200) == 2
    assert set(statuses) == {200, 429}


def test_a_gateways_page_is_an_error_without_a_code(kind, admin):
    admin.inject(effect={"kind": "html"})
    with pytest.raises(HttpResponseError) as raised:
        make(kind, retry_total=0).create_user()
    assert raised.value.status_code == 502
    assert raised.value.error is None


def test_a_lost_answer_leaves_an_identity(kind, admin):
    before = admin.last_call()
    admin.inject(times=1, effect={"kind": "cut", "processed": True})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        make(kind, retry_total=0).create_user()
    (call,) = admin.calls_since(before)
    assert call["identity"] in admin.alive()


def test_a_truncated_answer_is_an_error(kind, admin):
    admin.inject(effect={"kind": "truncate"})
    with pytest.raises((HttpResponseError, ServiceRequestError, ServiceResponseError)):
        make(kind, retry_total=0).create_user_and_token(["chat"])
