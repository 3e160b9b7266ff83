"""The admin API of the emulator that the tests run against."""

import json
import os
import urllib.request


class Admin:
    """Asks and changes one emulator."""

    def __init__(self, url):
        self._url = url

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def alive(self):
        return [identity["id"] for identity in self._ask("GET", "state")["identities"]]

    def last_call(self):
        return self._ask("GET", "calls")["last"]

    def calls_since(self, seq):
        return self._ask("GET", f"calls?since={seq}")["calls"]

    def token(self, text):
        return self._ask("POST", "tokens/validate", {"token": text})

    def inject(self, **fault):
        self._ask("POST", "faults", fault)

    def clear_faults(self):
        self._ask("DELETE", "faults")

    def set_clock(self, offset):
        self._ask("PUT", "clock", {"offset": offset})

    def set_limits(self, **limits):
        self._ask("PUT", "limits", limits)

    def reset(self):
        self.clear_faults()
        self.set_clock("0s")
        self.set_limits()


TLS = Admin(os.environ["ACS_EMULATOR_ADMIN_URL"])
PLAIN = Admin(os.environ["PLAIN_ADMIN_URL"])
CONNECTION_STRING = os.environ["COMMUNICATION_SERVICES_CONNECTION_STRING"]
PLAIN_CONNECTION_STRING = os.environ["PLAIN_CONNECTION_STRING"]


def parts(connection_string):
    """Endpoint without its slash, and key."""
    endpoint, key = connection_string.split(";", 1)
    return endpoint.removeprefix("endpoint=").rstrip("/"), key.removeprefix("accesskey=")
