// @ts-check
/** A question on top of the page. The browser keeps the focus inside, and Escape closes it. */
import { field, make } from "./dom.js";

/**
 * @param {object} asked
 * @param {string} asked.title
 * @param {string} [asked.lead]
 * @param {Node[]} [asked.body]
 * @param {string} asked.act words of the button that does it
 * @param {string | null} asked.cancel null: there is nothing to decide
 * @param {boolean} [asked.grave] it cannot be undone
 * @param {(form: FormData) => Promise<void> | void} asked.done does it; what it throws is shown and the dialog stays
 * @param {(thrown: unknown) => string} asked.explain
 */
export function openDialog({ title, lead, body = [], act, cancel, grave = false, done, explain }) {
  const wrong = make("p", { class: "wrong", attributes: { role: "alert" } });
  const button = make("button", { class: grave ? "grave" : "strong", text: act, attributes: { type: "submit" } });
  const form = make("form", { attributes: { method: "dialog" } });
  const box = make("dialog", { attributes: { "aria-labelledby": "dialog-title" } }, form);
  form.append(make("h2", { text: title, attributes: { id: "dialog-title" } }));
  if (lead) form.append(make("p", { class: "quiet", text: lead }));
  form.append(...body, wrong);
  const acts = make("div", { class: "acts" });
  if (cancel !== null) {
    const out = make("button", { class: "plain", text: cancel, attributes: { type: "button" } });
    out.addEventListener("click", () => box.close());
    acts.append(out);
  }
  acts.append(button);
  form.append(acts);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await done(new FormData(form));
      box.close();
    } catch (thrown) {
      wrong.textContent = explain(thrown);
    }
    button.disabled = false;
  });
  // The browser gives the focus back to where it was.
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * Show what nobody can see again.
 *
 * @param {import("./page.js").Stage} stage
 * @param {object} made
 * @param {string} made.title
 * @param {string} made.label
 * @param {string} made.text
 * @param {string} made.copied words for when it is in the clipboard
 */
export function showOnce({ texts, say, explain }, { title, label, text, copied }) {
  const shown = make("input", { class: "made", attributes: { id: "made", readonly: true, value: text } });
  const copy = make("button", { class: "plain", text: texts.copy, attributes: { type: "button" } });
  copy.addEventListener("click", async () => {
    shown.select();
    await navigator.clipboard.writeText(text);
    say(copied);
    copy.textContent = copied;
  });
  const body = [field(label, shown), copy];
  openDialog({ title, lead: texts.once, body, act: texts.close, cancel: null, explain, done: () => undefined });
}
