// @ts-check
/** The recording of a call: played, drawn, and in step with the transcript. */
import { choice, make, refill } from "./dom.js";
import { clock } from "./format.js";
import { fill } from "./texts.js";
import { loudness, spoken, waveform } from "./waveform.js";

/** Seconds that the arrow keys and the page keys go. */
const STEP = 5;
const LEAP = 30;
/** Seconds by which a browser may round a place that it is sent to. */
const ROUNDED = 0.01;
const SPEEDS = ["1", "1.25", "1.5", "2"];

/** @typedef {import("./call.js").CallRecord} CallRecord */
/** @typedef {{role: string, begin: number, end: number}} Line seconds from the beginning of the recording */

/**
 * Show a player for the recording of a call that has ended; it stops when the visitor goes on to another page.
 * Null where the recording cannot be had.
 *
 * @param {import("./page.js").Stage} stage
 * @param {CallRecord} record
 * @param {HTMLElement} body where it is shown
 */
export async function showPlayer(stage, record, body) {
  const { texts, signal } = stage;
  refill(body, make("p", { class: "quiet", text: texts.loading }));
  /** @type {Blob} */
  let sound;
  try {
    const answer = await stage.api.fetch(`/v1/calls/${encodeURIComponent(record.id)}/recording`, {}, signal);
    sound = await answer.blob();
  } catch (thrown) {
    if (!signal.aborted) refill(body, make("p", { class: "quiet", text: stage.explain(thrown) }));
    return null;
  }
  const player = new Player(stage, record, sound);
  refill(body, player.element);
  player.draw();
  return player;
}

export class Player {
  /**
   * @param {import("./page.js").Stage} stage
   * @param {CallRecord} record
   * @param {Blob} sound
   */
  constructor(stage, record, sound) {
    const { texts, signal } = stage;
    this._words = texts.call;
    this._sound = sound;
    this._length = record.recording.seconds || 0;
    /** @type {Line[]} */
    this._lines = record.transcript.map((/** @type {any} */ line) => ({
      role: line.role,
      begin: Math.max(0, line.began - record.recording.began_at),
      end: line.ended - record.recording.began_at,
    }));
    /** @type {Element[]} */
    this._shown = [];
    this._move = (/** @type {number} */ _share) => {};
    const address = URL.createObjectURL(sound);
    this._audio = new Audio(address);
    signal.addEventListener("abort", () => {
      this._audio.pause();
      URL.revokeObjectURL(address);
    });
    this._toggle = make("button", { class: "plain", text: texts.call.play, attributes: { type: "button" } });
    this._time = make("span", { class: "when" });
    this._slider = make("div", {
      class: "slider",
      attributes: { role: "slider", tabindex: 0, "aria-label": texts.call.position, "aria-valuemin": 0 },
    });
    const speed = choice("speed", SPEEDS.map((value) => /** @type {[string, string]} */ ([value, `${value}×`])), "1");
    speed.setAttribute("aria-label", texts.call.speed);
    speed.addEventListener("change", () => (this._audio.playbackRate = Number(speed.value)));
    const save = make("a", { class: "plain", text: texts.call.downloadAudio, attributes: { href: address, download: `${record.id}.ogg` } });
    this._note = make("p", { class: "quiet", attributes: { hidden: true } });
    const sides = ["caller", "agent"].map((role) =>
      make("span", { class: "side", data: { role }, text: texts.call.saidBy[/** @type {"caller" | "agent"} */ (role)] }),
    );
    this.element = make(
      "div",
      { class: "player" },
      this._slider,
      make("div", { class: "row" }, this._toggle, this._time, ...sides, make("span", { class: "acts" }, speed, save)),
      this._note,
    );
    this._listen();
    this._tell();
  }

  /** Draw what is heard; of a long call that takes some seconds, in which it can be played already. */
  async draw() {
    const sides = await loudness(this._sound).catch(() => spoken(this._lines, this._length || 1));
    const { drawing, move } = waveform(sides);
    this._move = move;
    refill(this._slider, drawing);
    this._tell();
  }

  /**
   * Keep the lines of a transcript in step: the one that is spoken is marked, and a click on one goes there.
   *
   * @param {Element[]} lines as many as the transcript has
   */
  follow(lines) {
    this._shown = lines;
    lines.forEach((line, number) => {
      line.addEventListener("click", () => {
        // Who marks words wants to copy them.
        if (!String(getSelection())) this._seek(this._lines[number].begin);
      });
    });
    this._tell();
  }

  _listen() {
    const audio = this._audio;
    audio.addEventListener("loadedmetadata", () => {
      if (Number.isFinite(audio.duration)) this._length = audio.duration;
      this._tell();
    });
    audio.addEventListener("error", () => {
      this._note.textContent = this._words.unplayable;
      this._note.hidden = false;
      this._toggle.disabled = true;
    });
    for (const name of ["play", "pause", "ended"]) {
      audio.addEventListener(name, () => (this._toggle.textContent = audio.paused ? this._words.play : this._words.pause));
    }
    audio.addEventListener("play", () => this._run());
    for (const name of ["seeking", "timeupdate"]) audio.addEventListener(name, () => this._tell());
    this._toggle.addEventListener("click", () => this._playOrPause());
    const drag = (/** @type {PointerEvent} */ event) => {
      const { left, width } = this._slider.getBoundingClientRect();
      this._seek(((event.clientX - left) / width) * this._length);
    };
    this._slider.addEventListener("pointerdown", (event) => {
      this._slider.setPointerCapture(event.pointerId);
      drag(event);
    });
    this._slider.addEventListener("pointermove", (event) => {
      if (this._slider.hasPointerCapture(event.pointerId)) drag(event);
    });
    this._slider.addEventListener("keydown", (event) => this._press(event));
  }

  /** @param {KeyboardEvent} event */
  _press(event) {
    const now = this._audio.currentTime;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowLeft: () => this._seek(now - STEP),
      ArrowDown: () => this._seek(now - STEP),
      ArrowRight: () => this._seek(now + STEP),
      ArrowUp: () => this._seek(now + STEP),
      PageDown: () => this._seek(now - LEAP),
      PageUp: () => this._seek(now + LEAP),
      Home: () => this._seek(0),
      End: () => this._seek(this._length),
      " ": () => this._playOrPause(),
    };
    if (!(event.key in acts) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
  }

  _playOrPause() {
    if (!this._audio.paused) return this._audio.pause();
    // A refusal is told by the error event.
    this._audio.play().catch(() => {});
  }

  /** @param {number} seconds */
  _seek(seconds) {
    this._audio.currentTime = Math.min(Math.max(0, seconds), this._length);
    this._tell();
  }

  /** Move the mark with each picture while it plays. */
  _run() {
    if (this._audio.paused) return;
    this._tell();
    requestAnimationFrame(() => this._run());
  }

  /** Show where the recording is. */
  _tell() {
    const now = this._audio.currentTime;
    this._move(this._length ? Math.min(1, now / this._length) : 0);
    const [at, of] = [clock(now), clock(this._length)];
    if (this._time.textContent !== `${at} / ${of}`) {
      this._time.textContent = `${at} / ${of}`;
      this._slider.setAttribute("aria-valuemax", String(Math.floor(this._length)));
      this._slider.setAttribute("aria-valuenow", String(Math.floor(now)));
      this._slider.setAttribute("aria-valuetext", fill(this._words.positionOf, { at, of }));
    }
    this._shown.forEach((line, number) => {
      const { begin, end } = this._lines[number];
      const spokenNow = now > 0 && begin - ROUNDED <= now && now < end;
      if (spokenNow === line.hasAttribute("aria-current")) return;
      if (!spokenNow) return line.removeAttribute("aria-current");
      line.setAttribute("aria-current", "true");
      if (!this._audio.paused) line.scrollIntoView({ block: "nearest" });
    });
  }
}
