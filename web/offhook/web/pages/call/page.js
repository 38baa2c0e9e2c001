// @ts-check
/** The page anyone can call from: one button, one call at a time. */
import { Call } from "../../sdk/call.js";
import { CallError, fromResponse } from "../../sdk/errors.js";
import { whyImpossible } from "../../sdk/microphone.js";
import { isLiving } from "../../sdk/states.js";
import { textsFor } from "./texts.js";
import { View } from "./view.js";

/** Modes an address may ask for: `/?mode=echo` lets a person hear themselves. */
const MODES = /** @type {const} */ (["end-to-end", "traditional", "echo"]);

const { language, texts } = textsFor(navigator.languages || [navigator.language]);
document.documentElement.lang = language;
const view = new View(texts);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const wanted = new URLSearchParams(location.search).get("mode");
const mode = MODES.find((known) => known === wanted);

/** @type {Call | null} */
let call = null;

/**
 * @param {string} path
 * @param {RequestInit} [request]
 */
async function ask(path, request) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...request });
  } catch (thrown) {
    throw new CallError("server_gone", String(thrown));
  }
  if (!response.ok) throw await fromResponse(response);
  return response.json();
}

async function askTicket() {
  const { token, websocketUrl, iceServers, agent } = await ask("/api/demo/token", { method: "POST" });
  if (agent) view.setAgent(agent);
  return { token, websocketUrl, iceServers };
}

/**
 * Shows a call from now on.
 *
 * @param {Call} fresh
 * @param {import("./texts.js").Notice} blocked what is said when the browser does not play, and the button that helps
 * @param {string} words
 */
function take(fresh, blocked, words) {
  call = fresh;
  // The seed of the page's API: a site's own scripts may look at the call and steer it.
  Object.assign(window, { offhookCall: fresh });
  const play = () => {
    fresh.play();
    view.setNotice(null);
  };
  fresh.on("state", (state) => {
    view.show(fresh);
    if (state === "answered") paint();
  });
  fresh.on("floor", () => view.showFloor(fresh));
  fresh.on("muted", () => view.showFloor(fresh));
  fresh.on("transcript", (line) => view.showLine(line));
  fresh.on("blocked", () => view.setNotice(blocked, "calm", { words, act: play }));
  fresh.on("warning", (error) => console.warn(`offhook: ${error.code}: ${error.message}`));
}

function begin() {
  const fresh = new Call({ token: askTicket, audio: view.audio, mode });
  take(fresh, texts.blocked, texts.hear);
  fresh.start();
}

/** Draws the levels as long as there is a call, and nothing at all for those who asked for less motion. */
function paint() {
  if (!call || call.state !== "answered" || still.matches) return view.showLevels(0, 0);
  view.showLevels(call.level("agent"), call.level("caller"));
  requestAnimationFrame(paint);
}

view.setAgent(null);
view.show(null);
view.start.addEventListener("click", () => (call && isLiving(call.state) ? undefined : begin()));
view.mute.addEventListener("click", () => call && call.setMuted(!call.muted));
view.end.addEventListener("click", () => call && call.end());
setInterval(() => call && isLiving(call.state) && view.showClock(call), 250);

const impossible = whyImpossible();
if (impossible) view.setNotice(texts.errors[impossible.code], "bad");
else view.start.disabled = false;
ask("/api/demo/agent").then(
  (agent) => view.setAgent(agent),
  // The name is only an ornament here; a server that is away says so when the visitor calls.
  () => undefined,
);
// A page that was reloaded in the middle of a call goes on with it.
const kept = Call.recall({ audio: view.audio });
if (kept) {
  take(kept, texts.back, texts.goOn);
  kept.comeBack();
}
