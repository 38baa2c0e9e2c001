// @ts-check
/** @typedef {import("../../sdk/call.js").Line} Line */

/** The lines of a call, in the order of their numbers; a line that comes again replaces itself. */
export class Transcript {
  /**
   * @param {HTMLElement} box scrolls
   * @param {{caller: string, agent: string, interrupted: string}} words
   */
  constructor(box, words) {
    this._box = box;
    this._words = words;
    /** @type {Map<number, HTMLElement>} */
    this._lines = new Map();
  }

  /** @param {string} name of the agent, for the lines that follow */
  nameAgent(name) {
    this._words = { ...this._words, agent: name };
  }

  clear() {
    this._lines.clear();
    this._box.textContent = "";
  }

  /** @param {Line} line */
  show(line) {
    const box = this._box;
    // Somebody who has scrolled back to read is left where they are.
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
    const known = this._lines.get(line.line);
    const element = known || make("div", "line");
    element.textContent = "";
    element.dataset.role = line.role;
    element.append(make("span", "who", this._words[line.role]), make("span", "said", line.text));
    if (line.interrupted) element.append(make("span", "cut", this._words.interrupted));
    if (!known) {
      this._lines.set(line.line, element);
      const after = Array.from(this._lines.keys()).filter((number) => number > line.line);
      const next = this._lines.get(Math.min(...after));
      box.insertBefore(element, next || null);
    }
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
