// @ts-check
import { isLiving } from "../../sdk/states.js";
import { avatar } from "./avatar.js";
import { fill } from "./texts.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("../../sdk/call.js").Call} Call */
/** @typedef {{name: string, avatar?: string}} Agent */

/**
 * The element with an id, of the kind it has to be.
 *
 * @template {Element} Kind
 * @param {string} id
 * @param {{new (): Kind}} kind
 * @returns {Kind}
 */
function find(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`);
  return element;
}

/** What the page shows. It knows elements and texts; what happens when is said in `page.js`. */
export class View {
  /** @param {import("./texts.js").Texts} texts */
  constructor(texts) {
    this._texts = texts;
    this._name = "";
    this._startText = texts.call;
    this.start = find("start", HTMLButtonElement);
    this.mute = find("mute", HTMLButtonElement);
    this.end = find("end", HTMLButtonElement);
    this.audio = find("audio", HTMLAudioElement);
    this._card = find("card", HTMLElement);
    this._notice = find("notice", HTMLElement);
    this._state = find("state", HTMLElement);
    this._clock = find("clock", HTMLElement);
    this._floor = find("floor", HTMLElement);
    this._bars = Array.from(find("bars", HTMLElement).children);
    this._lines = find("lines", HTMLElement);
    this._transcript = new Transcript(this._lines, { caller: texts.you, agent: "", interrupted: texts.interrupted });
    for (const element of document.querySelectorAll("[data-text]")) {
      const key = /** @type {"mute" | "end" | "transcript"} */ (element.getAttribute("data-text"));
      element.textContent = texts[key];
    }
    find("hint", HTMLElement).textContent = texts.hint;
    find("old", HTMLElement).remove();
  }

  /** @param {Agent | null} agent null: its name is not known (yet) */
  setAgent(agent) {
    const { someone } = this._texts;
    this._name = agent ? agent.name : "";
    find("name", HTMLElement).textContent = agent ? agent.name : "offhook";
    const place = find("avatar", HTMLElement);
    place.textContent = "";
    place.append(avatar(agent || { name: "offhook" }));
    this._transcript.nameAgent(agent ? agent.name : someone);
    this._setStart(this._startText);
  }

  /** The picture of a call in its state. @param {Call | null} call */
  show(call) {
    const state = call ? call.state : "idle";
    const living = isLiving(state);
    const { activeElement } = document;
    this._card.dataset.state = state;
    this._state.textContent = this._texts.states[state];
    document.title = state === "idle" ? "offhook" : `${this._texts.states[state]} – offhook`;
    this.start.hidden = living;
    find("in-call", HTMLElement).hidden = !living;
    // The button that was pressed goes away; whoever came by keyboard finds the next one under the finger. After the
    // start that is Mute, so that a second press does not hang up.
    if (living && activeElement === this.start) this.mute.focus();
    if (!living && (activeElement === this.mute || activeElement === this.end)) this.start.focus();
    if (state === "connecting") this._begin();
    if (call && state === "ended") {
      const endings = this._texts.endings;
      this.setNotice({ title: "", sentence: endings[call.reason] || endings.other }, "calm");
      this._setStart(this._texts.callAgain);
    }
    if (call && call.error && state === "error") this.fail(call.error.code);
    this.showFloor(call);
    this.showClock(call);
  }

  /**
   * A sentence for what went wrong. Where the browser cannot call at all, the button says so too.
   *
   * @param {import("../../sdk/errors.js").ErrorCode} code
   */
  fail(code) {
    this.setNotice(this._texts.errors[code], "bad");
    this._setStart(this._texts.tryAgain);
  }

  /**
   * The box under the state; it is read out at once.
   *
   * @param {import("./texts.js").Notice | null} notice
   * @param {"bad" | "calm"} tone
   * @param {{words: string, act: () => void}} [way] a button that helps
   */
  setNotice(notice, tone = "bad", way) {
    const box = this._notice;
    box.textContent = "";
    box.dataset.tone = tone;
    if (!notice) return;
    if (notice.title) box.append(element("strong", this._text(notice.title)));
    box.append(element("span", this._text(notice.sentence)));
    if (!way) return;
    const button = element("button", way.words);
    button.setAttribute("type", "button");
    button.addEventListener("click", way.act);
    box.append(button);
  }

  /** @param {Call | null} call */
  showFloor(call) {
    const floor = call && (call.muted && call.state === "answered" && call.floor !== "speaking" ? "muted" : call.floor);
    // Its place is kept as long as there is a call, so that nothing jumps when the agent begins to talk.
    this._floor.hidden = !call || !isLiving(call.state);
    this._card.dataset.floor = floor || "";
    find("floor-words", HTMLElement).textContent = floor ? this._text(this._texts.floor[floor]) : "";
    this.mute.setAttribute("aria-pressed", String(Boolean(call && call.muted)));
  }

  /** @param {Call | null} call */
  showClock(call) {
    const seconds = call ? Math.floor(call.seconds) : 0;
    this._clock.hidden = !(call && call.answered);
    this._clock.textContent = clock(seconds);
  }

  /** @param {import("../../sdk/call.js").Line} line */
  showLine(line) {
    find("talk", HTMLElement).hidden = false;
    this._card.classList.add("has-talk");
    this._transcript.show(line);
  }

  /** How loud the two sides are, from 0 to 1. @param {number} agent @param {number} caller */
  showLevels(agent, caller) {
    const speaking = this._card.dataset.floor === "speaking";
    this._card.style.setProperty("--agent-level", (speaking ? agent : 0).toFixed(3));
    this._card.style.setProperty("--caller-level", caller.toFixed(3));
    const level = speaking ? agent : caller;
    this._bars.forEach((bar, index) => {
      const weight = [0.55, 0.8, 1, 0.8, 0.55][index];
      /** @type {HTMLElement} */ (bar).style.transform = `scaleY(${(0.16 + 0.84 * level * weight).toFixed(3)})`;
    });
  }

  _begin() {
    this.setNotice(null);
    this._transcript.clear();
    find("talk", HTMLElement).hidden = true;
    this._card.classList.remove("has-talk");
  }

  /** @param {string} text */
  _setStart(text) {
    this._startText = text;
    find("start-words", HTMLElement).textContent = this._text(text);
  }

  /** @param {string} text */
  _text(text) {
    return fill(text, { name: this._name || this._texts.someone });
  }
}

/**
 * @param {string} tag
 * @param {string} text
 */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/**
 * `0:07`, `12:34`, `1:02:03`.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}
