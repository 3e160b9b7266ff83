// The official JavaScript SDK, unchanged, against the emulator.
"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const { RestError } = require("@azure/core-rest-pipeline");
const { admin, client, connectionString, plainAdmin, plainConnectionString } = require("./emulator.js");

const foreign = {
  communicationUserId: "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000",
};

// Rejects with this status and error code.
async function refused(promise, statusCode, code) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof RestError, String(error));
    assert.deepEqual([error.statusCode, error.code], [statusCode, code]);
    return true;
  });
}

const minutesLeft = (token) => (token.expiresOn.getTime() - Date.now()) / 60_000;

beforeEach(() => admin.reset());

describe("life cycle", () => {
  test("a user is created and deleted", async () => {
    const user = await client().createUser();
    assert.ok((await admin.alive()).includes(user.communicationUserId));
    await client().deleteUser(user);
    assert.ok(!(await admin.alive()).includes(user.communicationUserId));
  });

  test("a user is created with a token in one call", async () => {
    const before = await admin.lastCall();
    const { user, token, expiresOn } = await client().createUserAndToken(["chat", "voip"]);
    const validated = await admin.token(token);
    assert.equal(validated.state, "valid");
    assert.equal(validated.token.identity, user.communicationUserId);
    assert.deepEqual(validated.token.scopes, ["chat", "voip"]);
    assert.ok(Math.abs(minutesLeft({ expiresOn }) - 1440) < 2);
    const calls = await admin.callsSince(before);
    assert.deepEqual(calls.map((call) => call.operation), ["create"]);
  });

  test("a token has the scopes and the lifetime asked for", async () => {
    const user = await client().createUser();
    for (const scope of ["chat", "chat.join", "chat.join.limited", "voip", "voip.join"]) {
      const token = await client().getToken(user, [scope]);
      assert.deepEqual((await admin.token(token.token)).token.scopes, [scope]);
    }
    for (const tokenExpiresInMinutes of [60, 90, 1440]) {
      const token = await client().getToken(user, ["chat"], { tokenExpiresInMinutes });
      assert.ok(Math.abs(minutesLeft(token) - tokenExpiresInMinutes) < 2);
    }
  });

  test("revoked tokens are invalid and later ones are not", async () => {
    const { user, token } = await client().createUserAndToken(["voip"]);
    await admin.setClock("2s");
    await client().revokeTokens(user);
    assert.equal((await admin.token(token)).state, "revoked");
    await admin.setClock("4s");
    const later = await client().getToken(user, ["voip"]);
    assert.equal((await admin.token(later.token)).state, "valid");
  });

  test("deleting a user ends its tokens", async () => {
    const { user, token } = await client().createUserAndToken(["voip"]);
    await client().deleteUser(user);
    assert.equal((await admin.token(token)).state, "identityDeleted");
  });

  test("the SDK sends what it is known to send", async () => {
    const user = await client().createUser();
    const before = await admin.lastCall();
    await client().revokeTokens(user);
    const [call] = await admin.callsSince(before);
    assert.deepEqual([call.apiVersion, call.signedBy], ["2023-10-01", "primary"]);
    assert.ok(call.path.startsWith("/identities/8%3Aacs%3A"), call.path);
    assert.ok(call.requestId);
  });

  test("a whole life over plain http", async () => {
    const plain = client({ allowInsecureConnection: true }, plainConnectionString);
    const { user, token } = await plain.createUserAndToken(["voip"]);
    assert.equal((await plainAdmin.token(token)).state, "valid");
    await plain.revokeTokens(user);
    await plain.deleteUser(user);
    assert.deepEqual(await plainAdmin.alive(), []);
  });
});

describe("errors", () => {
  test("a wrong key is denied", async () => {
    const wrong = connectionString.replace(/accesskey=.*/, "accesskey=d3Jvbmcga2V5");
    await refused(client({}, wrong).createUser(), 401, "Denied");
    const [call] = (await admin.callsSince(0)).slice(-1);
    assert.deepEqual([call.errorCode, call.signedBy], ["Denied", null]);
  });

  test("a clock that is far off is denied", async () => {
    await admin.setClock("-6m");
    await refused(client().createUser(), 401, "Denied");
    await admin.setClock("-4m");
    await client().createUser();
  });

  test("an identity of another resource is not owned", async () => {
    await refused(client().getToken(foreign, ["chat"]), 401, "IdentityNotOwned");
    await refused(client().revokeTokens(foreign), 401, "IdentityNotOwned");
    await refused(client().deleteUser(foreign), 401, "IdentityNotOwned");
  });

  test("a lifetime outside of the bounds is invalid", async () => {
    const user = await client().createUser();
    for (const tokenExpiresInMinutes of [59, 1441]) {
      const options = { tokenExpiresInMinutes };
      await refused(client().getToken(user, ["chat"], options), 400, "ValidationError");
      await refused(client().createUserAndToken(["chat"], options), 400, "ValidationError");
    }
  });

  test("scopes are required", async () => {
    const user = await client().createUser();
    await refused(client().getToken(user, []), 400, "ValidationError");
  });

  test("a deleted user gets no token", async () => {
    const user = await client().createUser();
    await client().deleteUser(user);
    await refused(client().getToken(user, ["chat"]), 404, "IdentityNotFound");
    await client().deleteUser(user);
  });

  test("a throttled call is repeated after the time told", async () => {
    const before = await admin.lastCall();
    await admin.inject({ times: 1, effect: { kind: "throttle", retryAfter: "1" } });
    await client({ retryOptions: { maxRetries: 1 } }).createUser();
    assert.deepEqual((await admin.callsSince(before)).map((call) => call.status), [429, 201]);
  });

  test("a throttled call that is not told when to come back fails", async () => {
    await admin.inject({ effect: { kind: "throttle" } });
    await refused(client({ retryOptions: { maxRetries: 3 } }).createUser(), 429, "TooManyRequests");
  });

  test("the service's own limit throttles", async () => {
    const user = await client().createUser();
    await admin.setLimits({ issue: 1, window: "3s" });
    const before = await admin.lastCall();
    const patient = client({ retryOptions: { maxRetries: 1 } });
    await patient.getToken(user, ["chat"]);
    await patient.getToken(user, ["chat"]);
    const statuses = (await admin.callsSince(before)).map((call) => call.status);
    assert.equal(statuses.filter((status) => status === 200).length, 2);
    assert.deepEqual(new Set(statuses), new Set([200, 429]));
  });

  test("a gateway's page is an error without a code", async () => {
    await admin.inject({ effect: { kind: "html" } });
    await assert.rejects(client().createUser(), (error) => error.statusCode === 502);
  });

  test("a lost answer leaves an identity", async () => {
    const before = await admin.lastCall();
    await admin.inject({ times: 1, effect: { kind: "cut", processed: true } });
    await assert.rejects(client().createUser(), (error) => error instanceof RestError && !error.statusCode);
    const [call] = await admin.callsSince(before);
    assert.ok((await admin.alive()).includes(call.identity));
  });

  test("a truncated answer is an error", async () => {
    await admin.inject({ effect: { kind: "truncate" } });
    await assert.rejects(client().createUserAndToken(["chat"]));
  });
});
