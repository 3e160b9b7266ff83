"""A client without any SDK, which signs `date` in place of `x-ms-date`, as the SDKs of 2020 and early 2021 did."""

import base64
import hashlib
import hmac
import http.client
import json
from email.utils import formatdate

import emulator


def send(method, path, body="", date_header="date", sign_as=None):
    """Status and body of the answer to a request signed by hand."""
    endpoint, key = emulator.parts(emulator.PLAIN_CONNECTION_STRING)
    host = endpoint.removeprefix("http://")
    target = f"{path}?api-version=2021-03-07"
    date = formatdate(usegmt=True)
    content_hash = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    text = f"{method}\n{target}\n{date};{host};{content_hash}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
    headers = {
        date_header: date,
        "x-ms-content-sha256": content_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders={sign_as or date_header};host;x-ms-content-sha256"
        f"&Signature={signature}",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, target, body=body or None, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(text) if text else None


def test_a_whole_life():
    status, created = send("POST", "/identities", '{"createTokenWithScopes":["voip"]}')
    assert status == 201
    path = "/identities/" + created["identity"]["id"]
    assert emulator.PLAIN.token(created["accessToken"]["token"])["state"] == "valid"
    assert send("POST", path + "/:issueAccessToken", '{"scopes":["chat"]}')[0] == 200
    assert send("POST", path + "/:revokeAccessTokens") == (204, None)
    assert send("DELETE", path) == (204, None)


def test_the_date_must_be_in_the_header_that_is_said_to_be_signed():
    assert send("POST", "/identities", date_header="date", sign_as="x-ms-date")[0] == 401
    assert send("POST", "/identities", date_header="x-ms-date", sign_as="date")[0] == 401
    assert send("POST", "/identities", date_header="x-ms-date")[0] == 201
