// @ts-check
/** The states of a call as one bar: as long as they lasted, in the colour of the state. */
import { draw, make } from "./dom.js";
import { clock, span } from "./format.js";
import { fill, wordFor } from "./texts.js";

const WIDTH = 1000;
const HEIGHT = 44;
/** The narrowest piece that can still be seen. */
const LEAST = 6;

/** @typedef {{state: string, at: number, because: string}} Entered */
/** @typedef {{state: string, because: string, begin: number, lasted: number | null}} Piece lasted: null for the last state */

/**
 * The states one after the other; `ended` has no length.
 *
 * @param {Entered[]} states
 * @param {number} now seconds since the epoch, for a call that goes on
 * @returns {Piece[]}
 */
function pieces(states, now) {
  const began = states.length ? states[0].at : 0;
  return states.map(({ state, because, at }, index) => {
    const next = states[index + 1];
    const end = next ? next.at : state === "ended" ? null : now;
    return { state, because, begin: at - began, lasted: end === null ? null : Math.max(0, end - at) };
  });
}

/**
 * @param {Entered[]} states
 * @param {import("./texts.js").Texts} texts
 * @param {number} now
 */
export function timeline(states, texts, now) {
  const found = pieces(states, now);
  const words = (/** @type {Piece} */ piece) => {
    const state = wordFor(texts.states, piece.state);
    return piece.lasted === null ? state : fill(texts.call.stateLasted, { state, time: span(piece.lasted) });
  };
  const label = fill(texts.call.timelineLabel, { states: found.map(words).join(", ") });
  return make("div", { class: "timeline" }, bar(found, label), list(found, texts));
}

/**
 * @param {Piece[]} found
 * @param {string} label
 */
function bar(found, label) {
  const lengths = found.map((piece) => piece.lasted || 0);
  const total = lengths.reduce((sum, length) => sum + length, 0) || 1;
  const shown = lengths.map((length, index) => (found[index].lasted === null ? 0 : Math.max(LEAST, (length / total) * WIDTH)));
  const scale = WIDTH / (shown.reduce((sum, length) => sum + length, 0) || 1);
  let at = 0;
  const blocks = shown.map((length, index) => {
    const width = length * scale;
    const block = draw("rect", {
      data: { state: found[index].state },
      attributes: { x: at.toFixed(2), y: 0, width: Math.max(0, width - 2).toFixed(2), height: HEIGHT, rx: 6 },
    });
    at += width;
    return block;
  });
  return draw(
    "svg",
    { class: "bar-of-states", attributes: { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label } },
    ...blocks,
  );
}

/**
 * @param {Piece[]} found
 * @param {import("./texts.js").Texts} texts
 */
function list(found, texts) {
  return make(
    "ol",
    { class: "states" },
    ...found.map(({ state, because, begin, lasted }) =>
      make(
        "li",
        { data: { state } },
        make("span", { class: "when", text: clock(begin) }),
        make("span", { class: "pill", text: wordFor(texts.states, state), data: { state } }),
        make("span", { class: "quiet", text: fill(texts.call.because, { event: because }) }),
        make("span", { class: "lasted", text: lasted === null ? "" : span(lasted) }),
      ),
    ),
  );
}
