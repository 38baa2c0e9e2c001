// @ts-check
/**
 * The states of a call as a browser sees them: one table, and nothing else changes a state.
 *
 * The names are those of the server's table. The browser adds `idle` (nobody has called yet) and `error` (the call
 * failed, and why is known); `created` is never seen from here. `ended` and `error` are final: a new call is a new object.
 *
 * @typedef {"idle" | "connecting" | "ringing" | "answered" | "held" | "reconnecting" | "ending" | "ended" | "error"} State
 *
 * What happens: `start` and `hangup` come from the visitor, `return` from a page that was reloaded, `failed` and
 * `reconnecting` from either side, the rest are events of the server.
 * @typedef {"start" | "return" | "ringing" | "answered" | "held" | "resumed" | "reconnecting" | "hangup" | "ended" | "failed"} Step
 */

/** Ways out of every living state. */
const LEAVE = { hangup: "ending", ended: "ended", failed: "error" };

/** @type {Readonly<Record<State, Readonly<Partial<Record<Step, string>>>>>} */
export const TABLE = Object.freeze({
  idle: { start: "connecting", return: "reconnecting", failed: "error" },
  connecting: { ringing: "ringing", answered: "answered", ...LEAVE },
  ringing: { answered: "answered", ...LEAVE },
  answered: { held: "held", reconnecting: "reconnecting", ...LEAVE },
  held: { resumed: "answered", reconnecting: "reconnecting", ...LEAVE },
  // The way back leads to the state that was left; the server says which.
  reconnecting: { answered: "answered", resumed: "answered", held: "held", ...LEAVE },
  // The visitor has hung up; the last lines of the transcript may still arrive. A failure now is only an end.
  ending: { ended: "ended", failed: "ended" },
  ended: {},
  error: {},
});

/**
 * The state after `step`, or `null` where the table has no row: then nothing changes.
 *
 * @param {State} state
 * @param {Step} step
 * @returns {State | null}
 */
export function next(state, step) {
  return /** @type {State | undefined} */ (TABLE[state][step]) || null;
}

/**
 * True from the click until the call is over.
 *
 * @param {State} state
 */
export function isLiving(state) {
  return state !== "idle" && state !== "ended" && state !== "error";
}
