// @ts-check
/** Who is signed in: a key, kept for this tab and until it is closed. */
import { Api, ask } from "./api.js";

const PLACE = "offhook.console";

/**
 * @typedef {object} Session
 * @property {string} key
 * @property {string | null} id of a key that was made for this sign-in and dies with it
 */

/** @returns {Session | null} */
export function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE) || "null");
    return kept && typeof kept.key === "string" ? { key: kept.key, id: kept.id || null } : null;
  } catch (_thrown) {
    return null;
  }
}

export function forget() {
  sessionStorage.removeItem(PLACE);
}

/** @param {Session} session */
function keep(session) {
  sessionStorage.setItem(PLACE, JSON.stringify(session));
  return session;
}

/**
 * Sign in with a secret key; throws `Problem` where it opens nothing.
 *
 * @param {string} key
 */
export async function enterByKey(key) {
  try {
    await new Api(key).get("/v1/calls", { limit: "1" });
  } catch (problem) {
    // A key without the scope for calls is a key all the same.
    if (/** @type {import("./api.js").Problem} */ (problem).code !== "scope_missing") throw problem;
  }
  return keep({ key, id: null });
}

/**
 * Sign in with the code of a link, which counts once.
 *
 * @param {string} code
 */
export async function enterByCode(code) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code }) };
  const made = await (await ask("/api/console/session", request)).json();
  return keep({ key: made.key, id: made.id });
}

/**
 * Sign out. A key that was made for this sign-in is revoked, so that nobody can use it after.
 *
 * @param {Session} session
 */
export async function leave(session) {
  forget();
  if (session.id) await new Api(session.key).send(`/v1/keys/${encodeURIComponent(session.id)}/revoke`);
}
