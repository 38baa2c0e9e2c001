// @ts-check
/** Elements with text. Nothing here or elsewhere in the console turns text into markup. */

/**
 * @typedef {object} Facts
 * @property {string} [text]
 * @property {string} [class]
 * @property {Record<string, string>} [data]
 * @property {Record<string, string | number | boolean | null | undefined>} [attributes] false, null: left out; true: without a value
 * @property {Record<string, (event: Event) => void>} [on]
 *
 * @typedef {Node | string | null | undefined | false} Child
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Facts} [facts]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, facts = {}, ...children) {
  const made = document.createElement(tag);
  if (facts.class) made.className = facts.class;
  Object.assign(made.dataset, facts.data || {});
  fit(made, facts, children);
  return made;
}

/**
 * An element of a drawing.
 *
 * @param {string} tag
 * @param {Facts} [facts]
 * @param {Child[]} children
 */
export function draw(tag, facts = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (facts.class) made.setAttribute("class", facts.class);
  Object.assign(made.dataset, facts.data || {});
  fit(made, facts, children);
  return made;
}

/**
 * @param {Element} made
 * @param {Facts} facts
 * @param {Child[]} children
 */
function fit(made, facts, children) {
  if (facts.text !== undefined) made.textContent = facts.text;
  for (const [name, value] of Object.entries(facts.attributes || {})) {
    if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const [name, act] of Object.entries(facts.on || {})) made.addEventListener(name, act);
  for (const child of children) if (child) made.append(child);
}

/** Put other children in place of those that are there. @param {Element} place @param {Child[]} children */
export function refill(place, ...children) {
  place.textContent = "";
  for (const child of children) if (child) place.append(child);
}

/**
 * The element with an id, of the kind it has to be.
 *
 * @template {Element} Kind
 * @param {string} id
 * @param {{new (): Kind}} kind
 * @returns {Kind}
 */
export function find(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`);
  return element;
}

/**
 * A field with its label.
 *
 * @param {string} label
 * @param {HTMLInputElement | HTMLSelectElement} input has an id
 * @param {string} [hint]
 */
export function field(label, input, hint) {
  const said = hint ? make("span", { class: "hint", text: hint, attributes: { id: `${input.id}-hint` } }) : null;
  if (said) input.setAttribute("aria-describedby", said.id);
  return make("div", { class: "field" }, make("label", { text: label, attributes: { for: input.id } }), input, said);
}

/**
 * @param {string} id
 * @param {[string, string][]} options value and words
 * @param {string} [chosen]
 */
export function choice(id, options, chosen = "") {
  return make(
    "select",
    { attributes: { id, name: id } },
    ...options.map(([value, text]) => make("option", { text, attributes: { value, selected: value === chosen } })),
  );
}

/**
 * A table in a card. What it shows is put into `rows`.
 *
 * @param {string} caption read out, not shown
 * @param {Record<string, string>} columns
 * @param {HTMLElement} rows
 */
export function table(caption, columns, rows) {
  const heads = Object.values(columns).map((text) => make("th", { text, attributes: { scope: "col" } }));
  const title = make("caption", { class: "unseen", text: caption });
  return make("div", { class: "card wide" }, make("table", {}, title, make("thead", {}, make("tr", {}, ...heads)), rows));
}
