// @ts-check
/** A question on top of the page. The browser keeps the focus inside, and Escape closes it. */
import { make } from "./dom.js";

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
