// The admin API of the emulators that the tests run against, and clients for them.
"use strict";

const { CommunicationIdentityClient } = require("@azure/communication-identity");

const connectionString = process.env.COMMUNICATION_SERVICES_CONNECTION_STRING;
const plainConnectionString = process.env.PLAIN_CONNECTION_STRING;

function adminAt(url) {
  async function ask(method, path, body) {
    const answer = await fetch(new URL(path, url), {
      method,
      headers: { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }
  return {
    alive: async () => (await ask("GET", "state")).identities.map((identity) => identity.id),
    lastCall: async () => (await ask("GET", "calls")).last,
    callsSince: async (seq) => (await ask("GET", `calls?since=${seq}`)).calls,
    token: (token) => ask("POST", "tokens/validate", { token }),
    inject: (fault) => ask("POST", "faults", fault),
    setClock: (offset) => ask("PUT", "clock", { offset }),
    setLimits: (limits) => ask("PUT", "limits", limits),
    reset: async () => {
      await ask("DELETE", "faults");
      await ask("PUT", "clock", { offset: "0s" });
      await ask("PUT", "limits", {});
    },
  };
}

// Without retries, where a test does not ask for them.
function client(options = {}, string = connectionString) {
  return new CommunicationIdentityClient(string, { retryOptions: { maxRetries: 0 }, ...options });
}

module.exports = {
  admin: adminAt(process.env.ACS_EMULATOR_ADMIN_URL),
  plainAdmin: adminAt(process.env.PLAIN_ADMIN_URL),
  connectionString,
  plainConnectionString,
  client,
};
