// @ts-check
/** The loudness of both sides of a recording as one drawing: the caller above the middle, the agent below it. */
import { draw } from "./dom.js";

/** How many bars there are, and how high the drawing is. */
const BARS = 300;
const HEIGHT = 100;
/** Hz that a recording is decoded to: enough to see it. */
const RATE = 8000;
/** Seconds that are decoded at a time. */
const PIECE = 60;

/** @typedef {[number[], number[]]} Sides loudness of caller and agent, one number from 0 to 1 for each bar */

/**
 * What a recording sounds like. Rejects where the browser cannot decode it.
 *
 * @param {Blob} sound
 * @returns {Promise<Sides>}
 */
export async function loudness(sound) {
  const bytes = new Uint8Array(await sound.arrayBuffer());
  const { head, pieces, length } = cut(bytes);
  const sides = /** @type {Sides} */ ([0, 1].map(() => new Array(BARS).fill(0)));
  for (const { begin, from, to } of pieces) {
    const piece = new Uint8Array(head + to - from);
    piece.set(bytes.subarray(0, head));
    piece.set(bytes.subarray(from, to), head);
    const decoded = await new OfflineAudioContext(2, 1, RATE).decodeAudioData(piece.buffer);
    sides.forEach((side, channel) => raise(side, decoded.getChannelData(channel), begin, length));
  }
  const loudest = Math.max(...sides[0], ...sides[1]) || 1;
  // Speech is quiet for the most part; the root shows it.
  return /** @type {Sides} */ (sides.map((side) => side.map((peak) => Math.sqrt(peak / loudest))));
}

/**
 * A recording in pieces of about a minute, so that a long call takes no more memory than a short one: decoded, a second
 * has 384 kB. Each piece is whole pages (RFC 3533 6), and a recording of its own behind the two pages at the beginning.
 *
 * @param {Uint8Array} bytes
 */
function cut(bytes) {
  const view = new DataView(bytes.buffer);
  /** @type {{begin: number, from: number, to: number}[]} seconds, and bytes */
  const pieces = [];
  let [head, number, length, at] = [0, 0, 0, 0];
  while (at + 27 <= bytes.length) {
    if (view.getUint32(at) !== 0x4f676753) throw new Error("this is no Ogg file");
    const segments = view.getUint8(at + 26);
    const body = bytes.subarray(at + 27, at + 27 + segments).reduce((sum, size) => sum + size, 0);
    const next = Math.min(bytes.length, at + 27 + segments + body);
    if (++number <= 2) {
      head = next;
    } else {
      const last = pieces[pieces.length - 1];
      if (last && length - last.begin < PIECE) last.to = next;
      else pieces.push({ begin: length, from: at, to: next });
      length = (view.getUint32(at + 6, true) + view.getUint32(at + 10, true) * 2 ** 32) / 48000;
    }
    at = next;
  }
  return { head, pieces, length };
}

/**
 * Raise the bars of one side to what was heard from `begin` on.
 *
 * @param {number[]} side
 * @param {Float32Array} samples
 * @param {number} begin seconds
 * @param {number} length of the whole recording, seconds
 */
function raise(side, samples, begin, length) {
  for (let at = 0; at < samples.length; at++) {
    const bar = Math.min(BARS - 1, Math.floor(((begin + at / RATE) / length) * BARS));
    const level = Math.abs(samples[at]);
    if (level > side[bar]) side[bar] = level;
  }
}

/**
 * Where somebody speaks, for a browser that cannot decode the sound.
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
