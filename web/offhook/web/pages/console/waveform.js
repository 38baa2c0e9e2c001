// @ts-check
/** The loudness of both sides of a recording as one drawing: the caller above the middle, the agent below it. */
import { draw } from "./dom.js";

/** How many bars there are, and how high the drawing is. */
const BARS = 300;
const HEIGHT = 100;
/** Hz that a recording is decoded to: enough to see it, a sixth of the memory. */
const RATE = 8000;

/** @typedef {[number[], number[]]} Sides loudness of caller and agent, one number from 0 to 1 for each bar */

/**
 * What a recording sounds like. Rejects where the browser cannot decode it.
 *
 * @param {Blob} sound
 * @returns {Promise<Sides>}
 */
export async function loudness(sound) {
  const decoded = await new OfflineAudioContext(2, 1, RATE).decodeAudioData(await sound.arrayBuffer());
  const sides = /** @type {Sides} */ ([0, 1].map((side) => peaks(decoded.getChannelData(side))));
  const loudest = Math.max(...sides[0], ...sides[1]) || 1;
  // Speech is quiet for the most part; the root shows it.
  return /** @type {Sides} */ (sides.map((side) => side.map((peak) => Math.sqrt(peak / loudest))));
}

/** @param {Float32Array} samples */
function peaks(samples) {
  const found = new Array(BARS).fill(0);
  for (let at = 0; at < samples.length; at++) {
    const bar = Math.floor((at / samples.length) * BARS);
    const level = Math.abs(samples[at]);
    if (level > found[bar]) found[bar] = level;
  }
  return found;
}

/**
 * Where somebody speaks, for a recording whose sound is not decoded.
 *
 * @param {{role: string, begin: number, end: number}[]} lines seconds from the beginning of the recording
 * @param {number} length seconds
 * @returns {Sides}
 */
export function spoken(lines, length) {
  return /** @type {Sides} */ (
    ["caller", "agent"].map((role) =>
      new Array(BARS).fill(0).map((_, bar) => {
        const [from, to] = [(bar / BARS) * length, ((bar + 1) / BARS) * length];
        return lines.some((line) => line.role === role && line.begin < to && line.end > from) ? 0.5 : 0;
      }),
    )
  );
}

/** A drawing of both sides, and what moves the mark in it to a share (0 to 1) of its width. @param {Sides} sides */
export function waveform(sides) {
  const middle = HEIGHT / 2;
  const path = (/** @type {number[]} */ side, /** @type {number} */ direction) =>
    side.map((level, bar) => `M${bar + 0.5} ${middle}v${(direction * Math.max(1, level * (middle - 2))).toFixed(1)}`).join("");
  const played = draw("rect", { class: "played", attributes: { x: 0, y: 0, width: 0, height: HEIGHT } });
  const mark = draw("line", { class: "mark", attributes: { x1: 0, x2: 0, y1: 0, y2: HEIGHT } });
  const drawing = draw(
    "svg",
    { class: "waveform", attributes: { viewBox: `0 0 ${BARS} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" } },
    played,
    draw("path", { data: { role: "caller" }, attributes: { d: path(sides[0], -1) } }),
    draw("path", { data: { role: "agent" }, attributes: { d: path(sides[1], 1) } }),
    mark,
  );
  const move = (/** @type {number} */ share) => {
    const x = (share * BARS).toFixed(2);
    played.setAttribute("width", x);
    mark.setAttribute("x1", x);
    mark.setAttribute("x2", x);
  };
  return { drawing, move };
}
