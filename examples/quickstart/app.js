// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// One conversation takes three steps:
//
//   1. POST /session         Caddy mints an ephemeral token       fetchToken()
//   2. new WebSocket(...)    the token opens one session          openSession()
//   3. events                text and sound go back and forth     converse()
//
// The rest of the file is sound, words for everything that can go wrong, and the page itself.

const TOKEN_PATH = "/session";
const REALTIME_URL = document.querySelector('meta[name="realtime-url"]').content;
const GREETING = "Hello! Who are you, and what can you do?";
const INSTRUCTIONS = "You are a friendly voice agent. Answer in one or two short sentences.";

const TOKEN_TIMEOUT = 15_000; // ms; Caddy itself gives up after 10 s unless configured otherwise
const OPEN_TIMEOUT = 10_000; // until the WebSocket is open
const SESSION_TIMEOUT = 5_000; // from there until session.created
const ATTEMPTS = 3; // some connections open and never start a session; a new token helps

const SAMPLE_RATE = 24_000; // of the agent's voice
const TOKEN_PREFIX = "xai-realtime-client-secret-"; // all of a token that may be shown

/** Something went wrong: a title, and what to do about it. Text in `backticks` is shown as code. */
class Failure extends Error {
  constructor(title, advice, { retryAfter = 0, anotherToken = false } = {}) {
    super(title);
    this.advice = advice;
    this.retryAfter = retryAfter; // seconds to wait before trying again
    this.anotherToken = anotherToken; // worth an immediate attempt with a new token
    this.status = 0; // of the HTTP response, if there was one
  }
}

// ---------------------------------------------------------------------------------------------------
// Step 1: the token

async function fetchToken(signal) {
  let response, body;
  try {
    response = await fetch(TOKEN_PATH, {
      method: "POST",
      redirect: "manual", // a redirect leads to a sign-in page, not to a token
      signal: AbortSignal.any([signal, AbortSignal.timeout(TOKEN_TIMEOUT)]),
    });
    body = await response.text();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error.name === "TimeoutError") {
      throw new Failure("The server did not answer in time", `Nothing came from \`${TOKEN_PATH}\` for ${TOKEN_TIMEOUT / 1000} seconds. Try again; if it stays like this, look in Caddy’s log.`);
    }
    throw new Failure("The server cannot be reached", "Is Caddy still running? Check the terminal you started it in and your network, then try again.");
  }
  if (!response.ok) throw Object.assign(refusal(response), { status: response.status });

  let token;
  try {
    token = JSON.parse(body);
  } catch {
    // Caddy answers 200 with an empty body where no directive matches, and a single-page app's
    // fallback answers with HTML. Either way there is no token handler at this path.
    throw nothingThere();
  }
  // The value has to fit in a Sec-WebSocket-Protocol header, or the browser refuses to send it.
  if (typeof token?.value !== "string" || !/^[\w.~!#$%&'*+^`|-]+$/.test(token.value)) {
    throw new Failure("The answer holds no usable token", `\`${TOKEN_PATH}\` answered, but without a \`value\` that can open a connection. If you reshape the answer in the Caddyfile, keep that field.`);
  }

  // Compare with the server's clock, not the visitor's, which may be wrong.
  const now = Date.parse(response.headers.get("Date")) || Date.now();
  // Seconds, but some deployments answer in milliseconds.
  const expiresAt = token.expires_at > 1e12 ? token.expires_at : token.expires_at * 1000;
  return { value: token.value, expires: performance.now() + expiresAt - now }; // NaN if it is unknown
}

const nothingThere = () =>
  new Failure("Nothing hands out tokens here", `No token handler answers at \`${TOKEN_PATH}\`. Is the line \`xai_ephemeral_token ${TOKEN_PATH}\` in this site’s block of the Caddyfile, and has Caddy been reloaded?`);

/** What a status means. Caddy's error answers have no body unless handle_errors writes one. */
function refusal(response) {
  const retryAfter = secondsUntil(response.headers.get("Retry-After"));
  const pause = retryAfter ? `The button comes back in ${inWords(retryAfter)}.` : "Wait a moment, then try again.";

  if (response.type === "opaqueredirect") {
    return new Failure("Sign in first", `The server redirects \`${TOKEN_PATH}\` to another page, most likely to sign you in. Do that, then come back and try again.`);
  }
  switch (response.status) {
    case 401:
      return new Failure("Sign in first", "This server gives tokens only to people it knows. Sign in, then try again.");
    case 403:
      return new Failure("This page is not allowed to ask for tokens", `Either you lack permission, or the server does not trust the origin \`${location.origin}\`. If this is your server, add the origin to \`trusted_origins\` in the Caddyfile.`);
    case 404:
      return nothingThere();
    case 405:
      return new Failure("The server does not take this request", `\`POST ${TOKEN_PATH}\` is not allowed. Does \`methods\` in the Caddyfile leave out \`POST\`, or does a file server answer in place of \`xai_ephemeral_token\`?`);
    case 429:
      return new Failure("Too many tries", `The server limits how often one visitor gets a token. ${pause}`, { retryAfter });
    case 500:
      return new Failure("The server has no usable API key", "Set `XAI_API_KEY` in Caddy’s environment, or `api_key` in the Caddyfile, and restart Caddy. Its log says what is wrong.");
    case 502:
      return new Failure("Caddy got no token from xAI", "xAI refused the API key or the request, or could not be reached. Caddy’s log has the reason.");
    case 503:
      return new Failure("xAI is busy", `It limits how many tokens this server may have just now. ${pause}`, { retryAfter });
    case 504:
      return new Failure("xAI did not answer in time", "This often passes by itself. Try again; if it stays like this, look in Caddy’s log.");
    default:
      return new Failure(`The server answered with status ${response.status}`, `That is not an answer \`${TOKEN_PATH}\` normally gives. Caddy’s log may say more.`, { retryAfter });
  }
}

/** Retry-After holds seconds or a date. */
function secondsUntil(retryAfter) {
  if (!retryAfter) return 0;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Math.max(0, Math.ceil(seconds) || 0);
}

// ---------------------------------------------------------------------------------------------------
// Step 2: the connection

/** Resolves with the WebSocket once the server has started the session. */
function openSession(token, signal) {
  return new Promise((resolve, reject) => {
    let socket;
    let opened = false;
    let complaint = ""; // what the server said before it closed, if it said anything

    const settle = (how, value) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      document.removeEventListener("securitypolicyviolation", onViolation);
      if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
      if (how === reject) socket?.close();
      how(value);
    };
    const onAbort = () => settle(reject, signal.reason);
    signal.addEventListener("abort", onAbort);
    // Chromium fires neither error nor close at a WebSocket that the page's own policy forbids.
    const onViolation = ({ effectiveDirective }) => {
      if (effectiveDirective === "connect-src") settle(reject, forbidden());
    };
    document.addEventListener("securitypolicyviolation", onViolation);
    let timer = setTimeout(() => settle(reject, cannotConnect()), OPEN_TIMEOUT);

    try {
      // A browser cannot set the headers of a WebSocket, so the token travels as a subprotocol.
      socket = new WebSocket(REALTIME_URL, ["xai-client-secret." + token]);
    } catch (error) {
      settle(reject, new Failure("The browser refused to connect", `Check \`realtime-url\` in index.html. The browser says: ${error.message}`));
      return;
    }

    socket.onopen = () => {
      opened = true;
      clearTimeout(timer);
      timer = setTimeout(() => settle(reject, noSession("opened, but the session did not start")), SESSION_TIMEOUT);
    };
    socket.onmessage = ({ data }) => {
      const event = parse(data);
      if (event.type === "session.created") settle(resolve, socket);
      if (event.type === "error") complaint = describe(event.error);
    };
    socket.onclose = ({ code, reason }) => {
      if (!opened) settle(reject, cannotConnect());
      else if (complaint) settle(reject, new Failure("The session was refused", `The server said: ${complaint}`));
      else settle(reject, noSession(`was closed before the session started (${closing(code, reason)})`));
    };
  });
}

const noSession = (what) =>
  new Failure("The conversation did not start", `The connection ${what}, ${ATTEMPTS} times in a row. Try again in a moment.`, { anotherToken: true });

/** The browser does not tell a page why a WebSocket did not open. */
const cannotConnect = () =>
  new Failure("The conversation’s server cannot be reached", `No connection to \`${place.host}\`. ${
    isSandbox ? "Is the sandbox running? It is the second site in the quickstart’s Caddyfile." : "Check your network, and the address of `realtime-url` in index.html."
  } It may also have refused the token: then Caddy gets tokens from one place, and this page connects to another.`);

const forbidden = () =>
  new Failure("This site’s policy forbids the connection", `Add \`${place.protocol}//${place.host}\` to \`connect-src\` in the site’s Content-Security-Policy, then reload this page.`);

/** A token opens one session, so every attempt starts with a new one. */
async function connect(signal) {
  for (let attempt = 1; ; attempt++) {
    const count = attempt > 1 ? ` (attempt ${attempt} of ${ATTEMPTS})` : "";
    shownToken = null;
    step("connection", "idle", "The token opens one WebSocket");
    step("token", "active", `Asking Caddy at \`${TOKEN_PATH}\`${count}`);
    const token = await fetchToken(signal);
    showToken(token);
    step("connection", "active", `Opening \`${place.host}\`${count}`);
    try {
      const socket = await openSession(token.value, signal);
      shownToken.used = true;
      step("connection", "done", `Open to \`${place.host}\``);
      return socket;
    } catch (error) {
      if (!error.anotherToken || attempt === ATTEMPTS) throw error;
    }
  }
}

// ---------------------------------------------------------------------------------------------------
// Step 3: the conversation

function converse(call) {
  const { socket } = call;
  call.since = performance.now();
  socket.onmessage = ({ data }) => receive(call, parse(data));
  socket.onclose = ({ code, reason }) => {
    finish(call);
    // Nobody here hung up: a person who does goes through hangUp(), which unhooks this handler.
    explain(code === 1006 // the browser's code for a connection that ended without a goodbye
      ? new Failure("The connection was lost", "Check your network, then start again: a new conversation gets a new token.")
      : new Failure("The connection was closed", `The other side ended the conversation (${closing(code, reason)}). Start again: a new one gets a new token.`));
  };

  transmit(call, {
    type: "session.update",
    session: {
      instructions: INSTRUCTIONS,
      audio: { output: { format: { type: "audio/pcm", rate: SAMPLE_RATE } } },
    },
  });
  say(call, GREETING);
}

const transmit = (call, event) => call.socket.send(JSON.stringify(event));

function say(call, text) {
  transcript.say(text);
  transmit(call, {
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
  });
  // Whoever speaks interrupts the agent. What is still to come of its answer stays unheard.
  call.player?.drop();
  call.unheard = call.answering;
  if (call.answering) call.owed = true; // one answer at a time: ask for the next when this one is done
  else askForAnswer(call);
}

function askForAnswer(call) {
  call.owed = false;
  call.answering = true;
  call.spoke = false;
  transmit(call, { type: "response.create" });
}

function receive(call, event) {
  switch (event.type) {
    case "conversation.item.added":
      if (event.item?.role === "user") transcript.identify(event.item.id);
      break;

    // What the user said aloud: each event repeats the whole line, so replace it.
    case "conversation.item.input_audio_transcription.updated":
    case "conversation.item.input_audio_transcription.completed":
      transcript.replace("user", event.item_id, event.transcript);
      break;

    // With a microphone: the user begins to speak, so stop talking over them.
    case "input_audio_buffer.speech_started":
      call.player?.drop();
      break;

    case "response.created":
      call.answering = true;
      call.unheard = false;
      break;

    // What the agent says: each event brings the next few words, so append them.
    case "response.output_audio_transcript.delta":
      call.spoke = true;
      transcript.append("agent", event.item_id, event.delta);
      break;
    case "response.output_audio_transcript.done":
      if (event.transcript) transcript.replace("agent", event.item_id, event.transcript);
      announce(`Agent: ${transcript.text(event.item_id)}`);
      break;

    case "response.output_audio.delta":
      call.spoke = true;
      if (event.delta && !call.unheard) call.player?.play(event.delta);
      break;

    case "response.done":
      call.answering = false;
      if (event.response?.status === "failed") {
        explain(new Failure("The agent could not answer", `${describe(event.response.status_details?.error)} You can go on writing.`));
      }
      if (call.owed) askForAnswer(call);
      break;

    case "error":
      call.answering = call.owed = false;
      explain(new Failure("The server reports an error", `${describe(event.error)} You can go on writing, or end the conversation and start another.`));
      break;
  }
}

/** Anything that is not a JSON object is no event of this protocol. */
function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}

function describe(error) {
  const message = (error?.message || "No reason was given").replace(/\.$/, "");
  return error?.code ? `${message} (\`${error.code}\`).` : `${message}.`;
}

const closing = (code, reason) => (reason ? `“${reason}”, code ${code}` : `code ${code}`);

// ---------------------------------------------------------------------------------------------------
// Sound: chunks of 16-bit PCM arrive faster than they play, so each is scheduled after the one before

class Player {
  #context = new AudioContext({ sampleRate: SAMPLE_RATE }); // saves us from resampling
  #meter = this.#context.createAnalyser();
  #volume = this.#context.createGain();
  #waves = new Float32Array(256);
  #queue = new Set();
  #end = 0; // when the last chunk will have been played; no event of the server tells

  constructor(muted) {
    this.#meter.fftSize = this.#waves.length;
    this.#meter.connect(this.#volume).connect(this.#context.destination);
    this.mute(muted);
    this.#context.resume(); // some browsers start it suspended even after a click
  }

  play(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1); // little-endian, as every browser's machine is
    if (samples.length === 0) return;
    const buffer = this.#context.createBuffer(1, samples.length, SAMPLE_RATE);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);

    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#meter);
    source.onended = () => this.#queue.delete(source);
    this.#queue.add(source);
    // A little head start after silence, so that the next chunk arrives before this one ends.
    const start = this.playing ? this.#end : this.#context.currentTime + 0.08;
    source.start(start);
    this.#end = start + buffer.duration;
  }

  /** Forgets what has not been played yet. */
  drop() {
    for (const source of this.#queue) source.stop();
    this.#queue.clear();
    this.#end = 0;
  }

  get playing() {
    return this.#context.currentTime < this.#end;
  }

  /** How loud it is at this moment, from 0 to 1. Still moves when muted. */
  get level() {
    this.#meter.getFloatTimeDomainData(this.#waves);
    const power = this.#waves.reduce((sum, value) => sum + value * value, 0) / this.#waves.length;
    return Math.min(1, Math.sqrt(power) * 4);
  }

  mute(muted) {
    this.#volume.gain.value = muted ? 0 : 1;
  }

  close() {
    this.drop();
    this.#context.close();
  }
}

/** A machine without a sound device still gets the text. */
function createPlayer() {
  try {
    return new Player(muted);
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------------------------------------------
// The page

const $ = (id) => document.getElementById(id);
const ui = {
  panel: $("panel"), place: $("place"), orb: $("orb"), mute: $("mute"), end: $("end"),
  scroller: $("scroller"), empty: $("empty"), transcript: $("transcript"),
  notice: $("notice"), start: $("start"), composer: $("composer"), line: $("line"), send: $("send"),
  announcer: $("announcer"),
};

const place = URL.canParse(REALTIME_URL) ? new URL(REALTIME_URL) : { host: REALTIME_URL, hostname: "" };
const isSandbox = ["localhost", "127.0.0.1", "[::1]"].includes(place.hostname);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let current = null; // the conversation that is being opened or held
let muted = false;
let shownToken = null; // its expiry, never its value
let pausedUntil = 0; // no new attempt before this moment, because the server said so
let startLabel = ui.start.textContent;

const transcript = {
  lines: new Map(), // by item_id
  unidentified: [], // typed lines the server has not given an id yet

  say(text) {
    const line = this.add("user");
    line.textContent = text;
    this.unidentified.push(line);
    this.follow(true);
  },
  identify(id) {
    const line = this.unidentified.shift();
    if (line) this.lines.set(id, line);
  },
  append(role, id, text) {
    const atEnd = this.atEnd();
    this.line(role, id).append(text ?? "");
    this.follow(atEnd);
  },
  replace(role, id, text) {
    const atEnd = this.atEnd();
    this.line(role, id).textContent = text ?? "";
    this.follow(atEnd);
  },
  text(id) {
    return this.lines.get(id)?.textContent ?? "";
  },
  line(role, id) {
    if (!this.lines.has(id)) this.lines.set(id, this.add(role));
    return this.lines.get(id);
  },
  add(role) {
    const item = document.createElement("li");
    const speaker = document.createElement("span");
    const text = document.createElement("p");
    item.className = role;
    speaker.className = "speaker";
    speaker.textContent = role === "user" ? "You" : "Agent";
    item.append(speaker, text);
    ui.transcript.append(item);
    ui.empty.hidden = true;
    return text;
  },
  clear() {
    this.lines.clear();
    this.unidentified = [];
    ui.transcript.replaceChildren();
    ui.empty.hidden = false;
  },
  // Stay at the newest line, unless the person scrolled back to read.
  atEnd: () => ui.scroller.scrollHeight - ui.scroller.scrollTop - ui.scroller.clientHeight < 48,
  follow(atEnd) {
    if (atEnd) ui.scroller.scrollTop = ui.scroller.scrollHeight;
  },
};

/** Sets text in which `backticks` become code, without ever parsing it as HTML. */
function write(element, text) {
  element.replaceChildren(...text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
}

function step(name, state, detail) {
  const item = $(`step-${name}`);
  item.dataset.state = state;
  if (state === "active") item.setAttribute("aria-current", "step");
  else item.removeAttribute("aria-current");
  const element = item.querySelector(".detail");
  if (detail && element.dataset.text !== detail) {
    element.dataset.text = detail; // most calls change nothing: leave the document alone then
    write(element, detail);
  }
}

function showToken({ value, expires }) {
  shownToken = { prefix: value.startsWith(TOKEN_PREFIX) ? `\`${TOKEN_PREFIX}…\`\n` : "", expires };
  tick();
}

const announce = (text) => { ui.announcer.textContent = text; };

function explain(failure) {
  const title = document.createElement("strong");
  const advice = document.createElement("p");
  title.textContent = failure.message;
  write(advice, failure.advice ?? "");
  const atEnd = transcript.atEnd();
  ui.notice.replaceChildren(title, advice); // takes room from the transcript
  transcript.follow(atEnd);
  reveal();
}

/** On a phone the panel may be below the fold. */
function reveal() {
  ui.panel.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

/** Which controls are there: "ready" to start, "connecting" or "talking". */
function show(phase) {
  const busy = phase !== "ready";
  ui.panel.dataset.phase = phase;
  ui.start.hidden = busy;
  ui.composer.hidden = ui.end.hidden = !busy;
  ui.end.textContent = phase === "connecting" ? "Cancel" : "End";
  ui.line.disabled = ui.send.disabled = phase !== "talking";
  ui.line.placeholder = phase === "talking" ? "Write something" : "Connecting…";
}

async function start() {
  const call = { abort: new AbortController(), player: createPlayer() }; // sound needs the click
  current = call;
  transcript.clear();
  ui.notice.replaceChildren();
  step("conversation", "idle", "Text and sound, as they come");
  show("connecting");
  ui.end.focus({ preventScroll: true });
  reveal();
  announce("Connecting");
  try {
    call.socket = await connect(call.abort.signal);
  } catch (error) {
    if (call.abort.signal.aborted) return; // hangUp() has tidied up
    finish(call);
    fail(error);
    return;
  }
  show("talking");
  announce("The conversation has started");
  converse(call);
  reveal();
  // Where there is a touch keyboard it would cover the conversation, so there it waits to be asked for.
  if (matchMedia("(pointer: fine)").matches && document.activeElement === ui.end) ui.line.focus({ preventScroll: true });
  animate(call);
}

function fail(error) {
  // A failure of this conversation's token or of the connection it was to open
  if (shownToken) step("connection", "failed", "Not opened");
  else step("token", "failed", error.status ? `No token: status ${error.status}` : "No token");
  if (!(error instanceof Failure)) {
    console.error(error); // a mistake of this page, so leave a trace for whoever mends it
    error = new Failure("Something unexpected went wrong", `The browser says: ${error.message}`);
  }
  pausedUntil = performance.now() + error.retryAfter * 1000;
  startLabel = "Try again";
  tick();
  explain(error);
}

/** The person has had enough. */
function hangUp() {
  const call = current;
  if (call.socket) call.socket.onclose = null;
  call.abort.abort();
  ui.notice.replaceChildren();
  finish(call);
  announce(call.socket ? "The conversation has ended" : "Cancelled");
}

function finish(call) {
  const hadFocus = ui.panel.contains(document.activeElement);
  current = null;
  call.socket?.close();
  call.player?.close();
  ui.orb.style.removeProperty("--level");
  startLabel = call.socket ? "Start a new conversation" : "Start a conversation";
  if (call.socket) {
    step("connection", "done", "Closed");
    step("conversation", "done", `Ended after ${clock((performance.now() - call.since) / 1000)}`);
  } else if (call.abort.signal.aborted) {
    for (const name of ["token", "connection"]) step(name, "idle", "Cancelled");
    shownToken = null;
  }
  show("ready");
  tick();
  if (hadFocus) ui.start.focus({ preventScroll: true });
}

/** Whose turn it is, and a circle that moves with the agent's voice. */
function animate(call) {
  if (call !== current) return;
  const speaking = call.player?.playing || (call.answering && call.spoke);
  step("conversation", "active", speaking ? "The agent is speaking" : call.answering ? "The agent is thinking" : "Your turn");
  ui.orb.style.setProperty("--level", calm.matches || !call.player ? 0 : call.player.level.toFixed(2));
  requestAnimationFrame(() => animate(call));
}

/** What changes with time alone: the token's lifetime, and the pause before another attempt. */
function tick() {
  if (shownToken) {
    const left = (shownToken.expires - performance.now()) / 1000;
    const lifetime = Number.isNaN(left) ? "" : left > 0 ? `expires in ${clock(left)}` : "expired";
    // Expiry bounds the time to connect. A session that is open goes on.
    const used = shownToken.used ? (left > 0 ? "used, " : "used, now ") : "";
    step("token", "done", `${shownToken.prefix}${used}${lifetime}`);
  }
  const pause = Math.ceil((pausedUntil - performance.now()) / 1000);
  // aria-disabled keeps the keyboard focus where it is, which disabled would lose.
  ui.start.setAttribute("aria-disabled", pause > 0);
  ui.start.textContent = pause > 0 ? `Try again in ${pause < 100 ? `${pause} s` : clock(pause)}` : startLabel;
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const inWords = (seconds) => (seconds === 1 ? "1 second" : seconds < 100 ? `${seconds} seconds` : `${clock(seconds)} minutes`);

ui.start.addEventListener("click", (event) => {
  // A double click must not start twice; a pause the server asked for is to be kept.
  if (event.detail > 1 || current || performance.now() < pausedUntil) return;
  start();
});
ui.end.addEventListener("click", (event) => {
  if (event.detail <= 1 && current) hangUp();
});
ui.mute.addEventListener("click", () => {
  muted = !muted;
  ui.mute.setAttribute("aria-pressed", muted);
  current?.player?.mute(muted);
});
ui.composer.addEventListener("submit", (event) => {
  event.preventDefault(); // also what makes the Enter key work
  const text = ui.line.value.trim();
  if (!text || !current?.socket) return;
  ui.line.value = "";
  ui.notice.replaceChildren();
  say(current, text);
});

ui.place.textContent = isSandbox ? "Sandbox: no key, no bill" : place.host;
$("not-running").remove();
ui.start.disabled = false;
setInterval(tick, 500);
show("ready");
