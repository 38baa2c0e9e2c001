// @ts-check
/**
 * What a page leaves for itself when it may be about to reload, so that it can go on with its call.
 *
 * The storage is the tab's own: another tab never finds it, and a tab that is closed takes it along. A page cannot tell
 * whether it is closed or reloaded; closed, it does not come back, and the server ends the call after half a minute.
 *
 * @typedef {object} Keepsake
 * @property {string} sessionId
 * @property {string} token lets its bearer come back once
 * @property {string} url
 * @property {RTCIceServer[]} iceServers
 * @property {number} answeredAt milliseconds since the epoch
 * @property {boolean} muted
 * @property {number} leftAt milliseconds since the epoch
 */
import { RECOVERY_LIMIT } from "./recovery.js";

const KEY = "offhook.call";

/** @param {Keepsake} kept */
export function leave(kept) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  } catch (_) {
    // Storage is switched off or full: then a reload ends the call.
  }
}

/**
 * What was left less than half a minute ago, or `null`. It is found once.
 *
 * @returns {Keepsake | null}
 */
export function find() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) || "null");
    sessionStorage.removeItem(KEY);
    const age = kept ? Date.now() - kept.leftAt : Infinity;
    return age >= 0 && age < RECOVERY_LIMIT ? kept : null;
  } catch (_) {
    return null;
  }
}
