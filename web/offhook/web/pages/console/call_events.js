// @ts-check
/** The log of one call, read once somebody wants to see it. */
import { make, table } from "./dom.js";

/** @typedef {import("./page.js").Stage} Stage */

/**
 * @param {Stage} stage
 * @param {string} id of the call
 */
export function eventLog(stage, id) {
  const { texts, api, signal } = stage;
  const words = texts.events;
  const rows = make("tbody");
  const note = make("p", { class: "quiet", text: texts.loading, attributes: { role: "status" } });
  const more = make("button", { class: "plain", text: texts.more, attributes: { type: "button" } });
  const box = table(words.caption, words.columns, rows);
  box.className = "log-of-events";
  box.hidden = more.hidden = true;
  const details = make("details", { class: "card" }, make("summary", { text: words.title }), note, box, more);
  let cursor = "";
  let began = 0;

  async function load() {
    try {
      const page = await api.get(`/v1/calls/${encodeURIComponent(id)}/events`, { limit: "100", cursor }, signal);
      if (!cursor && page.events.length) began = page.events[0].at;
      rows.append(...page.events.map(row));
      cursor = page.cursor || "";
      more.hidden = !cursor;
      box.hidden = !rows.children.length;
      note.textContent = rows.children.length ? words.hint : words.gone;
    } catch (thrown) {
      note.textContent = stage.explain(thrown);
    }
  }

  /** @param {Record<string, any>} entry */
  function row(entry) {
    const told = Object.keys(entry.data).length ? JSON.stringify(entry.data) : "";
    return make(
      "tr",
      {},
      make("td", { class: "number", text: String(entry.seq) }),
      make("td", { class: "number", text: `${(entry.at - began).toFixed(3)} s` }),
      make("td", {}, make("code", { text: entry.event })),
      make("td", {}, make("code", { text: told })),
    );
  }

  // Opened again it is read again: a call may have gone on.
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    rows.textContent = cursor = "";
    load();
  });
  more.addEventListener("click", load);
  return details;
}
