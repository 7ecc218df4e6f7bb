// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// token.js outside of a page, with a real HTTP server. TestTokenInNode runs it:
//
//   node --test token.test.mjs

import assert from "node:assert/strict";
import http from "node:http";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";

import { createTokenSource, fetchToken, Token, TokenError } from "../examples/voice/token.js";

let url; // of the server
let asked; // the requests that it got
let answer; // what it does with the next ones
let minted;

const serverNow = Date.now; // whatever a test does to the clock of token.js
const mint = (lifetime = 300) => (request, response) => {
  response.end(JSON.stringify({ value: `token-${++minted}`, expires_at: Math.floor(serverNow() / 1000) + lifetime }));
};
const status = (code, headers = {}, body = "") => (request, response) => response.writeHead(code, headers).end(body);
const breakOff = (request, response) => response.destroy();

/** Answers only when the test says so. */
function hold() {
  const held = {};
  held.asked = new Promise((resolve) => {
    held.answer = (request, response) => {
      held.go = (next = mint()) => next(request, response);
      resolve();
    };
  });
  return held;
}

const server = http.createServer((request, response) => {
  asked.push(request);
  answer(request, response);
});
before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}/session`;
});
beforeEach(() => {
  asked = [];
  minted = 0;
  answer = mint();
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** What a promise is rejected with, which has to be a TokenError. */
async function failure(promise) {
  const error = await promise.then(() => assert.fail("there is a token"), (error) => error);
  assert.ok(error instanceof TokenError, error.stack);
  assert.equal(error.name, "TokenError");
  assert.notEqual(error.advice, "");
  return error;
}

describe("fetchToken", () => {
  it("resolves with a token", async () => {
    const token = await fetchToken(new URL(url), { headers: { Authorization: "Bearer mine" } });
    assert.ok(token instanceof Token);
    assert.equal(token.value, "token-1");
    assert.deepEqual(token.protocols, ["xai-client-secret.token-1"]);
    assert.ok(token.remaining > 298 && token.remaining <= 301, `${token.remaining} s are left`);
    assert.equal(asked[0].method, "POST");
    assert.equal(asked[0].headers.authorization, "Bearer mine");
  });

  it("takes milliseconds for what they are", async () => {
    answer = status(200, {}, `{"value": "a", "expires_at": 1790000000000}`);
    const token = await fetchToken(url);
    assert.equal(token.expiresAt, 1790000000);
    assert.equal(token.remaining, 0);
  });

  it("does not know when a token expires if the server does not say", async () => {
    answer = status(200, {}, `{"value": "a"}`);
    const { expiresAt, remaining } = await fetchToken(url);
    assert.ok(Number.isNaN(expiresAt) && Number.isNaN(remaining));
  });

  for (const [what, skew] of [["fast", 3_600_000], ["slow", -3_600_000]]) {
    it(`goes by the server's clock when its own is an hour ${what}`, async (t) => {
      const now = Date.now;
      const expires = Math.floor(now() / 1000) + 300;
      answer = status(200, {}, `{"value": "a", "expires_at": ${expires}}`);
      t.mock.method(Date, "now", () => now() + skew);
      const { remaining } = await fetchToken(url);
      assert.ok(remaining > 298 && remaining <= 301, `${remaining} s are left`);
    });
  }

  it("counts the time for which the machine slept", async (t) => {
    const token = await fetchToken(url);
    const now = Date.now;
    t.mock.method(Date, "now", () => now() + 3_600_000); // performance.now() stood still
    assert.equal(token.remaining, 0);
  });

  for (const [what, code, body, words] of [
    ["an empty answer", 200, "", "Nothing hands out tokens here"],
    ["a page", 200, "<html>", "Nothing hands out tokens here"],
    ["JSON of somebody else", 200, "null", "no usable token"],
    ["a value that is no token", 200, `{"value": "a b"}`, "no usable token"],
    ["a redirect", 302, "", "sign in"],
    ["401", 401, "", "sign in"],
    ["403", 403, "", "not allowed"],
    ["404", 404, "", "Nothing hands out tokens here"],
    ["405", 405, "", "does not take this request"],
    ["429", 429, "", "Too many"],
    ["500", 500, "", "not set up"],
    ["502", 502, "", "not available"],
    ["503", 503, "", "busy"],
    ["504", 504, "", "did not answer in time"],
    ["a status of somebody else", 418, "", "418"],
  ]) {
    it(`explains ${what}`, async () => {
      answer = status(code, { Location: "/elsewhere" }, body);
      const error = await failure(fetchToken(url));
      assert.ok(error.message.includes(words), error.message);
      assert.equal(error.status, code);
      assert.equal(asked.length, 1);
    });
  }

  for (const code of [404, 405]) {
    it(`names what may take the request of a ${code}`, async () => {
      answer = status(code);
      const { hint } = await failure(fetchToken(`${url}?a=/b`));
      for (const word of ["xai_ephemeral_token /session in this", "handle", "try_files", "file_server"]) assert.ok(hint.includes(word), hint);
    });
  }

  it("says how long to wait, in seconds", async () => {
    answer = status(429, { "Retry-After": "7" });
    const { advice, retryAfter } = await failure(fetchToken(url));
    assert.equal(retryAfter, 7);
    assert.ok(advice.includes("7 seconds"), advice);
  });

  it("says how long to wait until a date, by the server's clock", async () => {
    answer = status(503, { Date: "Thu, 26 Nov 2026 08:00:00 GMT", "Retry-After": "Thu, 26 Nov 2026 08:02:30 GMT" });
    const { advice, retryAfter } = await failure(fetchToken(url));
    assert.equal(retryAfter, 150);
    assert.ok(advice.includes("3 minutes"), advice);
  });

  it("calls a connection that breaks a failure of the network", async () => {
    answer = breakOff;
    const error = await failure(fetchToken(url));
    assert.equal(error.message, "The server cannot be reached");
    assert.equal(error.status, 0);
    assert.ok(error.cause instanceof Error);
  });

  it("calls an answer that breaks off a failure of the network", async () => {
    answer = (request, response) => {
      response.writeHead(200, { "Content-Length": 80 }).write(`{"value":`, () => response.destroy());
    };
    assert.equal((await failure(fetchToken(url))).message, "The server cannot be reached");
  });

  it("calls a name that nobody has a failure of the network", async () => {
    assert.equal((await failure(fetchToken("http://nobody.invalid/session"))).message, "The server cannot be reached");
  });

  it("gives up by itself", async () => {
    answer = () => {};
    const { message, hint } = await failure(fetchToken(url, { timeout: 50 }));
    assert.ok(message === "The server did not answer in time" && hint.includes("0.05 s"), hint);
  });

  it("gives up when told to, with the reason", async () => {
    const held = hold();
    answer = held.answer;
    const abort = new AbortController();
    const token = fetchToken(url, { signal: abort.signal });
    await held.asked;
    const reason = new Error("enough");
    abort.abort(reason);
    await assert.rejects(token, (error) => error === reason);
  });

  it("does not ask if told to give up before", async () => {
    await assert.rejects(fetchToken(url, { signal: AbortSignal.abort() }), { name: "AbortError" });
    assert.equal(asked.length, 0);
  });

  for (const [what, make] of [
    ["an address that is none", () => fetchToken("http://[")],
    ["a path where there is no page", () => fetchToken("/session")],
    ["a header that is none", () => fetchToken(url, { headers: { "not a name": "x" } })],
    ["credentials that there are not", () => fetchToken(url, { credentials: "some" })],
    ["a signal that is none", () => fetchToken(url, { signal: new AbortController() })],
  ]) {
    it(`leaves ${what} the mistake that it is`, async () => {
      const error = await make().then(() => assert.fail("there is a token"), (error) => error);
      assert.ok(error instanceof TypeError && !(error instanceof TokenError), error.stack);
      assert.equal(asked.length, 0);
    });
  }

  describe("where AbortSignal has neither any nor timeout, nor a reason", () => {
    const own = {};
    before(() => {
      for (const name of ["any", "timeout"]) {
        own[name] = AbortSignal[name];
        delete AbortSignal[name];
      }
      own.reason = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "reason");
      Object.defineProperty(AbortSignal.prototype, "reason", { configurable: true, value: undefined });
    });
    after(() => {
      Object.assign(AbortSignal, { any: own.any, timeout: own.timeout });
      Object.defineProperty(AbortSignal.prototype, "reason", own.reason);
    });

    it("resolves with a token", async () => {
      assert.equal((await fetchToken(url, { signal: new AbortController().signal })).value, "token-1");
    });
    it("gives up by itself", async () => {
      answer = () => {};
      assert.equal((await failure(fetchToken(url, { timeout: 50 }))).message, "The server did not answer in time");
    });
    it("gives up when told to", async () => {
      const held = hold();
      answer = held.answer;
      const abort = new AbortController();
      const token = fetchToken(url, { signal: abort.signal });
      await held.asked;
      abort.abort();
      await assert.rejects(token, { name: "AbortError" });
    });
  });

  describe("on an origin of its own", () => {
    afterEach(() => {
      delete globalThis.location;
    });
    it("asks for trust where the endpoint is on another", async () => {
      globalThis.location = new URL("https://app.example.com/talk");
      answer = breakOff;
      const { hint } = await failure(fetchToken(url));
      assert.ok(hint.includes("add https://app.example.com to trusted_origins") && hint.includes("connect-src"), hint);
      answer = status(403);
      assert.ok((await failure(fetchToken(url))).hint.includes("https://app.example.com"));
    });
    it("asks for none on the same", async () => {
      globalThis.location = new URL(url);
      answer = breakOff;
      assert.equal((await failure(fetchToken(url))).hint, "Is Caddy still running?");
    });
  });
});

describe("createTokenSource", () => {
  it("fetches when asked", async () => {
    const source = createTokenSource(url, { headers: { "X-Mine": "yes" } });
    assert.equal((await source.take()).value, "token-1");
    assert.equal((await source.take()).value, "token-2");
    assert.equal(asked[1].headers["x-mine"], "yes");
  });

  it("hands out what was prepared, once", async () => {
    const source = createTokenSource(url);
    await source.prepare();
    assert.equal((await source.take()).value, "token-1");
    assert.equal(asked.length, 1);
    assert.equal((await source.take()).value, "token-2");
  });

  it("prepares one at a time", async () => {
    const held = hold();
    answer = held.answer;
    const source = createTokenSource(url);
    const prepared = [source.prepare(), source.prepare()];
    await held.asked;
    prepared.push(source.prepare());
    held.go();
    await Promise.all(prepared);
    await source.prepare();
    assert.equal(asked.length, 1);
  });

  it("waits for the one in flight, which goes to the first who asks", async () => {
    const held = hold();
    answer = held.answer;
    const source = createTokenSource(url);
    source.prepare();
    await held.asked;
    const first = source.take();
    answer = mint();
    const second = await source.take();
    held.go();
    assert.notEqual((await first).value, second.value);
    assert.equal(asked.length, 2);
    assert.equal((await source.take()).value, "token-3"); // the one in flight is not in hand as well
  });

  it("forgets a preparation that failed", async () => {
    const source = createTokenSource(url);
    for (answer of [status(429, { "Retry-After": "60" }), breakOff]) assert.equal(await source.prepare(), undefined);
    answer = mint();
    assert.equal((await source.take()).value, "token-1");
  });

  it("asks again when the one in flight fails", async () => {
    const held = hold();
    answer = held.answer;
    const source = createTokenSource(url);
    source.prepare();
    await held.asked;
    const token = source.take();
    answer = mint();
    held.go(breakOff);
    assert.equal((await token).value, "token-1");
  });

  it("is rejected with a TokenError", async () => {
    answer = status(403);
    const source = createTokenSource(url);
    await source.prepare();
    assert.equal((await failure(source.take())).status, 403);
  });

  it("never lets a mistake out of prepare", async () => {
    const source = createTokenSource("http://[");
    assert.equal(await source.prepare(), undefined);
    await assert.rejects(source.take(), TypeError);
  });

  it("drops a token that has less than 30 seconds left", async (t) => {
    const source = createTokenSource(url);
    const now = Date.now();
    let passed = 0;
    t.mock.method(Date, "now", () => now + passed);
    await source.prepare();
    passed = 268_000;
    await source.prepare(); // is still good
    assert.equal(asked.length, 1);
    passed = 272_000;
    await source.prepare();
    assert.equal(asked.length, 2);
    passed += 272_000;
    assert.equal((await source.take()).value, "token-3");
  });

  for (const [what, short] of [
    ["live no longer than that", mint(20)],
    ["do not say for how long they live", (request, response) => response.end(`{"value": "a"}`)],
  ]) {
    it(`prepares tokens in vain only once if they ${what}`, async () => {
      answer = short;
      const source = createTokenSource(url);
      await source.prepare();
      await source.prepare();
      assert.equal(asked.length, 1);
      await source.take();
      assert.equal(asked.length, 2);
    });
  }

  it("prepares again once tokens live longer", async () => {
    answer = mint(20);
    const source = createTokenSource(url);
    await source.prepare();
    await source.take();
    answer = mint();
    await source.take();
    await source.prepare();
    assert.equal(asked.length, 4); // the last of them ahead
    await source.take();
    assert.equal(asked.length, 4);
  });

  it("waits for as long as a timer can", async () => {
    assert.equal((await fetchToken(url, { timeout: Infinity })).value, "token-1");
  });

  it("keeps the token in flight for the next one if who asked gives up", async () => {
    const held = hold();
    answer = held.answer;
    const source = createTokenSource(url);
    const prepared = source.prepare();
    await held.asked;
    const abort = new AbortController();
    const token = source.take({ signal: abort.signal });
    abort.abort();
    await assert.rejects(token, { name: "AbortError" });
    held.go();
    await prepared;
    assert.equal((await source.take()).value, "token-1");
    assert.equal(asked.length, 1);
  });

  it("gives up while it fetches, or before", async () => {
    const held = hold();
    answer = held.answer;
    const source = createTokenSource(url);
    const abort = new AbortController();
    const token = source.take({ signal: abort.signal });
    await held.asked;
    abort.abort();
    await assert.rejects(token, { name: "AbortError" });
    answer = mint();
    await source.prepare();
    await assert.rejects(source.take({ signal: abort.signal }), { name: "AbortError" });
    assert.equal((await source.take()).value, "token-1"); // which it did not cost
  });
});
