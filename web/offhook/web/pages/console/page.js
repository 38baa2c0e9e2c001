// @ts-check
/** The console: who is signed in, and which page of it the address names. */
import { showAgent, showAgents } from "./agents.js";
import { Api, Problem } from "./api.js";
import { showCall } from "./call.js";
import { showCalls } from "./calls.js";
import { find, make, refill } from "./dom.js";
import { showKeys } from "./keys.js";
import { enterByCode, leave, forget, recall } from "./session.js";
import { showSignIn } from "./sign_in.js";
import { fill, textsFor, wordFor } from "./texts.js";
import { showWebhook } from "./webhook.js";
import { showWebhooks } from "./webhooks.js";

/**
 * What a page of the console is given.
 *
 * @typedef {object} Stage
 * @property {Api} api
 * @property {import("./session.js").Session} session
 * @property {import("./texts.js").Texts} texts
 * @property {HTMLElement} place
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal aborted when the visitor goes on to another page
 * @property {(sentence: string) => void} say read out, not shown
 * @property {(thrown: unknown) => void} fail shown and read out
 * @property {() => void} mended what was shown as failed works again
 * @property {(thrown: unknown) => string} explain the sentence for people
 */

const { language, texts } = textsFor(navigator.languages || [navigator.language]);
const place = find("main", HTMLElement);
const nav = find("nav", HTMLElement);
const alertBox = find("alert", HTMLElement);
const said = find("said", HTMLElement);
const out = find("sign-out", HTMLButtonElement);

/** The pages behind the sign-in, and how they are called. */
const PAGES = /** @type {const} */ (["calls", "agents", "webhooks", "keys"]);

/** Left pages stop what they have begun. */
let visit = new AbortController();

/** @param {unknown} thrown */
function explain(thrown) {
  if (!(thrown instanceof Problem)) return fill(texts.problems.other, { message: String(thrown) });
  // Every way in which a link can be wrong has the same way out.
  const code = thrown.code.startsWith("token_") && !(thrown.code in texts.problems) ? "token_invalid" : thrown.code;
  const known = wordFor(texts.problems, code);
  return fill(known === code ? texts.problems.other : known, { message: thrown.message });
}

/** @param {unknown} thrown */
function fail(thrown) {
  if (thrown instanceof DOMException && thrown.name === "AbortError") return;
  if (thrown instanceof Problem && thrown.status === 401 && recall()) {
    forget();
    show();
  }
  alertBox.textContent = explain(thrown);
  alertBox.hidden = false;
  if (!(thrown instanceof Problem)) console.error(thrown);
}

function mended() {
  alertBox.hidden = true;
  alertBox.textContent = "";
}

/** @param {string} sentence */
function say(sentence) {
  said.textContent = sentence;
}

/** Show what the address names. */
function show() {
  visit.abort();
  visit = new AbortController();
  mended();
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  const code = parameters.get("code");
  if (code) return enter(path, code);
  const session = recall();
  nav.hidden = out.hidden = !session;
  if (!session) return showSignIn({ place, texts, fail, done: arrive });
  const [name, id] = path.split("/").map(decodeURIComponent);
  const page = PAGES.find((known) => known === name) || "calls";
  for (const link of Array.from(nav.children)) {
    if (link.id === `nav-${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${texts[page]} – ${texts.title}`;
  const stage = { api: new Api(session.key), session, texts, place, query: parameters, signal: visit.signal, say, fail, mended, explain };
  if (page === "keys") showKeys(stage);
  else if (page === "webhooks") id ? showWebhook(stage, id) : showWebhooks(stage);
  else if (page === "agents") id ? showAgent(stage, id) : showAgents(stage);
  else if (id) showCall(stage, id);
  else showCalls(stage);
}

/** Take the code of a link; it leaves the address at once, so that it does not stay in the history. */
async function enter(/** @type {string} */ path, /** @type {string} */ code) {
  history.replaceState(null, "", `#/${path}`);
  refill(place, make("p", { class: "quiet", text: texts.signIn.entering }));
  try {
    await enterByCode(code);
    arrive();
  } catch (thrown) {
    show();
    fail(thrown);
  }
}

function arrive() {
  show();
  place.focus();
}

out.addEventListener("click", async () => {
  const session = recall();
  try {
    if (session) await leave(session);
  } catch (thrown) {
    // The key may be gone already; out is out.
    console.warn(`offhook: ${thrown}`);
  }
  show();
  say(texts.signedOut);
});

document.documentElement.lang = language;
document.title = texts.title;
find("skip", HTMLElement).textContent = texts.skip;
find("skip", HTMLElement).addEventListener("click", (event) => {
  // The part behind # is the address of a page here.
  event.preventDefault();
  place.focus();
});
out.textContent = texts.signOut;
nav.setAttribute("aria-label", texts.pages);
nav.append(...PAGES.map((page) => make("a", { text: texts[page], attributes: { id: `nav-${page}`, href: `#/${page}` } })));
addEventListener("hashchange", () => {
  show();
  place.focus();
});
show();
