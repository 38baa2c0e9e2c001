// @ts-check
/** The list of calls: filters in the address, pages by cursor, up to date by itself. */
import { choice, field, make, refill } from "./dom.js";
import { clock, shortMoment } from "./format.js";
import { saveFile } from "./save.js";
import { fill, wordFor } from "./texts.js";

/** Milliseconds between two looks at what is new. */
const REFRESH = 4000;
const PAGE = "50";
/** Filters that the API takes as the address has them; the moments are translated. */
const PLAIN = /** @type {const} */ (["text", "state", "reason", "agent", "channel"]);
const MOMENTS = /** @type {const} */ (["since", "until"]);

/** @typedef {Record<string, any>} Call */

/** @param {import("./page.js").Stage} stage */
export function showCalls(stage) {
  const { place, texts } = stage;
  const words = texts.list;
  const rows = make("tbody");
  const foot = make("p", { class: "quiet foot", attributes: { "aria-live": "off" } });
  const more = make("button", { class: "plain", text: texts.more, attributes: { type: "button" } });
  const nothing = make("p", { class: "empty", text: texts.loading });
  const columns = Object.entries(words.columns);
  const table = make(
    "table",
    { class: "calls" },
    make("caption", { class: "unseen", text: words.caption }),
    make("thead", {}, make("tr", {}, ...columns.map(([, text]) => make("th", { text, attributes: { scope: "col" } })))),
    rows,
  );
  const box = make("div", { class: "card wide" }, table, nothing);
  more.hidden = table.hidden = true;
  const head = make("div", { class: "row spread" }, make("h1", { text: words.title }), exports(stage));
  refill(place, head, filters(stage), box, make("div", { class: "row" }, foot, more));

  /** @type {Map<string, Call>} */
  const known = new Map();
  /** @type {string | null} */
  let cursor = null;
  const asked = query(stage.query);

  function paint() {
    const sorted = Array.from(known.values()).sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
    place.dataset.count = String(sorted.length);
    lay(rows, sorted, stage.texts);
    table.hidden = !sorted.length;
    nothing.hidden = Boolean(sorted.length);
    nothing.textContent = stage.query.toString() ? words.noneFit : words.empty;
    more.hidden = !cursor;
  }

  /** @param {string | null} from */
  async function load(from) {
    const page = await stage.api.get("/v1/calls", { ...asked, limit: PAGE, cursor: from || "" }, stage.signal);
    if (from === null && page.cursor && known.size && !page.calls.some((/** @type {Call} */ call) => known.has(call.id))) {
      // More is new than one page holds: what lies between is read by cursor, like everything below it.
      known.clear();
    }
    const first = !known.size || from !== null;
    if (from === null) forgetGone(known, page);
    for (const call of page.calls) known.set(call.id, call);
    if (first) cursor = page.cursor;
    paint();
    foot.textContent = `${fill(words.shown, { count: String(known.size) })} · ${words.live}`;
  }

  more.addEventListener("click", async () => {
    const before = known.size;
    try {
      await load(cursor);
      stage.say(fill(words.shown, { count: String(known.size) }));
      const next = rows.children[before];
      const link = next && next.querySelector("a");
      if (link) link.focus();
    } catch (thrown) {
      stage.fail(thrown);
    }
  });

  keepFresh(stage, () => load(null), (why) => (foot.textContent = fill(words.stale, { why })));
}

/**
 * Load now and again and again, while the page is open and looked at.
 *
 * @param {import("./page.js").Stage} stage
 * @param {() => Promise<void>} load
 * @param {(why: string) => void} stale
 */
function keepFresh(stage, load, stale) {
  let loaded = false;
  const again = async () => {
    try {
      if (!document.hidden || !loaded) await load();
      loaded = true;
    } catch (thrown) {
      if (stage.signal.aborted) return;
      if (!loaded || /** @type {any} */ (thrown).status === 401) return stage.fail(thrown);
      stale(stage.explain(thrown));
    }
    if (!stage.signal.aborted) setTimeout(() => stage.signal.aborted || again(), REFRESH);
  };
  again();
}

/**
 * Calls that the newest page should have and has not are gone.
 *
 * @param {Map<string, Call>} known
 * @param {{calls: Call[], cursor: string | null}} page
 */
function forgetGone(known, page) {
  const there = new Set(page.calls.map((call) => call.id));
  const last = page.calls[page.calls.length - 1];
  const reach = page.cursor && last ? last.created_at : -Infinity;
  for (const call of Array.from(known.values())) {
    if (call.created_at > reach && !there.has(call.id)) known.delete(call.id);
  }
}

/**
 * Rows in this order. A row that has not changed stays the element that it was, and keeps the focus.
 *
 * @param {HTMLElement} body
 * @param {Call[]} calls
 * @param {import("./texts.js").Texts} texts
 */
function lay(body, calls, texts) {
  const old = new Map(Array.from(body.children).map((row) => [/** @type {HTMLElement} */ (row).dataset.id, row]));
  calls.forEach((call, index) => {
    const face = JSON.stringify([call.state, call.reason, call.agent, call.duration]);
    const before = old.get(call.id);
    old.delete(call.id);
    let row = /** @type {HTMLElement | undefined} */ (before);
    if (!row) row = make("tr", { data: { id: call.id } });
    if (row.dataset.face !== face) {
      const focused = row.contains(document.activeElement);
      row.dataset.face = face;
      refill(row, ...cells(call, texts));
      const link = row.querySelector("a");
      if (focused && link) link.focus();
    }
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] || null);
  });
  for (const row of Array.from(old.values())) row.remove();
}

/**
 * @param {Call} call
 * @param {import("./texts.js").Texts} texts
 */
function cells(call, texts) {
  const began = shortMoment(call.created_at);
  const link = make("a", {
    text: began,
    attributes: { href: `#/calls/${encodeURIComponent(call.id)}`, "aria-label": fill(texts.list.open, { time: began }) },
  });
  const reason = call.reason ? wordFor(texts.reasons, call.reason) : texts.none;
  return [
    make("td", {}, pill(call.state, texts)),
    make("td", {}, link),
    make("td", { text: call.agent || texts.none }),
    make("td", { text: call.caller || texts.none }),
    make("td", { class: "number", text: call.answered_at === null ? texts.none : clock(call.duration) }),
    make("td", { text: reason }),
  ];
}

/**
 * @param {string} state
 * @param {import("./texts.js").Texts} texts
 */
export function pill(state, texts) {
  return make("span", { class: "pill", text: wordFor(texts.states, state), data: { state } });
}

/**
 * Buttons that save all calls which pass the filters.
 *
 * @param {import("./page.js").Stage} stage
 */
function exports(stage) {
  const words = stage.texts.list;
  const buttons = Object.entries(words.formats).map(([format, name]) => {
    const button = make("button", { class: "plain", text: fill(words.export, { format: name }), attributes: { type: "button" } });
    button.addEventListener("click", async () => {
      button.disabled = true;
      stage.say(words.exporting);
      try {
        const answer = await stage.api.fetch("/v1/calls/export", { ...query(stage.query), format }, stage.signal);
        saveFile(`offhook-calls-${new Date().toISOString().slice(0, 10)}.${format}`, await answer.blob());
        stage.say(words.exported);
      } catch (thrown) {
        stage.fail(thrown);
      }
      button.disabled = false;
    });
    return button;
  });
  return make("div", { class: "row" }, ...buttons);
}

/** The address's filters as the API takes them. @param {URLSearchParams} parameters */
function query(parameters) {
  /** @type {Record<string, string>} */
  const asked = {};
  for (const name of PLAIN) asked[name] = parameters.get(name) || "";
  for (const name of MOMENTS) {
    const when = new Date(parameters.get(name) || "").getTime();
    asked[name] = Number.isNaN(when) ? "" : String(when / 1000);
  }
  return asked;
}

/** @param {import("./page.js").Stage} stage */
function filters({ texts, query: set }) {
  const words = texts.list;
  const input = (/** @type {string} */ name, /** @type {string} */ type) =>
    make("input", { attributes: { id: name, name, type, value: set.get(name) || "", maxlength: type === "search" ? 200 : null } });
  const pairs = (/** @type {Record<string, string>} */ table, /** @type {string} */ any) =>
    /** @type {[string, string][]} */ ([["", any], ...Object.entries(table)]);
  const form = make(
    "form",
    { class: "filters", attributes: { role: "search", "aria-label": words.filters } },
    field(words.text, input("text", "search"), words.textHint),
    field(words.state, choice("state", pairs(texts.states, words.anyState), set.get("state") || "")),
    field(words.reason, choice("reason", pairs(texts.reasons, words.anyReason), set.get("reason") || "")),
    field(words.agent, input("agent", "text")),
    field(words.channel, input("channel", "text")),
    field(words.since, input("since", "datetime-local")),
    field(words.until, input("until", "datetime-local")),
    make("div", { class: "acts" },
      make("button", { class: "strong", text: words.apply, attributes: { type: "submit" } }),
      make("a", { class: "plain", text: words.clear, attributes: { href: "#/calls" } })),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams();
    for (const [name, value] of Array.from(new FormData(form).entries())) {
      if (typeof value === "string" && value.trim()) wanted.set(name, value.trim());
    }
    const asked = wanted.toString();
    location.hash = asked ? `#/calls?${asked}` : "#/calls";
  });
  return form;
}
