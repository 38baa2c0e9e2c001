// @ts-check
/** The keys of the workspace: make, rotate, revoke. A key itself is shown once. */
import { openDialog, showOnce } from "./dialog.js";
import { choice, field, make, refill, table } from "./dom.js";
import { shortMoment } from "./format.js";
import { fill } from "./texts.js";

/** @typedef {Record<string, any>} Key */
/** @typedef {import("./page.js").Stage} Stage */

const SCOPES = [
  "agents:read", "agents:write", "calls:read", "calls:start", "calls:write", "keys:read", "keys:write",
  "webhooks:read", "webhooks:write", "widgets:read", "widgets:write", "workspace:read", "workspace:write",
];

/** @param {Stage} stage */
export function showKeys(stage) {
  const { place, texts } = stage;
  const words = texts.key;
  const fresh = make("button", { class: "strong", text: words.make, attributes: { type: "button" } });
  const rows = make("tbody");
  const more = make("button", { class: "plain", text: texts.more, attributes: { type: "button" } });
  more.hidden = true;
  refill(
    place,
    make("div", { class: "row spread" }, make("h1", { text: words.title }), fresh),
    make("p", { class: "quiet", text: words.lead }),
    table(words.caption, words.columns, rows),
    more,
  );

  /** @type {string | null} */
  let cursor = null;
  /** @param {boolean} anew */
  async function load(anew) {
    try {
      const page = await stage.api.get("/v1/keys", { limit: "50", cursor: (!anew && cursor) || "" }, stage.signal);
      if (anew) rows.textContent = "";
      rows.append(...page.keys.map((/** @type {Key} */ key) => row(stage, key, () => load(true))));
      cursor = page.cursor;
      more.hidden = !cursor;
    } catch (thrown) {
      stage.fail(thrown);
    }
  }
  more.addEventListener("click", () => load(false));
  fresh.addEventListener("click", () => askNew(stage, () => load(true)));
  load(true);
}

/**
 * @param {Stage} stage
 * @param {Key} key
 * @param {() => Promise<void>} reload
 */
function row(stage, key, reload) {
  const words = stage.texts.key;
  const counts = key.revoked_at === null && (key.expires_at === null || key.expires_at * 1000 > Date.now());
  const name = make("td", {}, make("span", { class: "name", text: key.name }));
  if (key.id === stage.session.id) name.append(make("span", { class: "tag", text: words.mine }));
  const may = key.kind === "publishable" ? key.domains : key.scopes;
  return make(
    "tr",
    { data: { id: key.id } },
    name,
    make("td", { text: `${words.kinds[/** @type {"secret"} */ (key.kind)]}, ${words.modes[/** @type {"live"} */ (key.mode)]}` }),
    make("td", {}, make("code", { text: key.hint ? `…${key.hint}` : stage.texts.none })),
    make("td", { class: "many", text: may.map((/** @type {string} */ one) => (one === "*" ? words.everything : one)).join(" ") }),
    make("td", { text: key.last_used_at === null ? stage.texts.never : shortMoment(key.last_used_at) }),
    make("td", {}, standing(key, counts, words)),
    make("td", { class: "acts" }, ...(counts ? acts(stage, key, reload) : [])),
  );
}

/**
 * @param {Key} key
 * @param {boolean} counts
 * @param {import("./texts.js").Texts["key"]} words
 */
function standing(key, counts, words) {
  if (key.revoked_at !== null) return make("span", { class: "pill", text: words.revoked, data: { tone: "bad" } });
  if (!counts) return make("span", { class: "pill", text: words.ranOut, data: { tone: "quiet" } });
  const until = key.expires_at === null ? words.counts : fill(words.runsOut, { time: shortMoment(key.expires_at) });
  return make("span", { class: "pill", text: until, data: { tone: key.expires_at === null ? "good" : "warm" } });
}

/**
 * @param {Stage} stage
 * @param {Key} key
 * @param {() => Promise<void>} reload
 */
function acts(stage, key, reload) {
  const { texts, explain } = stage;
  const words = texts.key;
  const path = `/v1/keys/${encodeURIComponent(key.id)}`;
  const rotate = make("button", { class: "plain", text: words.rotate, attributes: { type: "button" } });
  rotate.addEventListener("click", () => {
    const overlap = choice("overlap", Object.entries(words.overlaps), "86400");
    openDialog({
      title: fill(words.rotateTitle, { name: key.name }),
      lead: words.rotateLead,
      body: [field(words.overlap, overlap)],
      act: words.rotate,
      cancel: texts.cancel,
      explain,
      done: async () => {
        const made = await stage.api.send(`${path}/rotate`, { overlap: Number(overlap.value) });
        await reload();
        showMade(stage, made);
      },
    });
  });
  const revoke = make("button", { class: "plain danger", text: words.revoke, attributes: { type: "button" } });
  revoke.addEventListener("click", () =>
    openDialog({
      title: fill(words.revokeTitle, { name: key.name }),
      lead: words.revokeLead,
      act: words.revoke,
      cancel: texts.cancel,
      grave: true,
      explain,
      done: async () => {
        await stage.api.send(`${path}/revoke`);
        await reload();
        stage.say(fill(words.revokedNow, { name: key.name }));
      },
    }),
  );
  return [rotate, revoke];
}

/**
 * @param {Stage} stage
 * @param {() => Promise<void>} reload
 */
function askNew(stage, reload) {
  const { texts, explain } = stage;
  const words = texts.key;
  const name = make("input", { attributes: { id: "name", name: "name", required: true, maxlength: 100, autocomplete: "off" } });
  const domains = make("input", { attributes: { id: "domains", name: "domains", autocomplete: "off" } });
  const kind = choice("kind", Object.entries(words.kinds));
  const boxes = SCOPES.map((scope) =>
    make("label", { class: "check" }, make("input", { attributes: { type: "checkbox", name: "scopes", value: scope } }), scope),
  );
  const scopes = make("fieldset", {}, make("legend", { text: words.scopes }), make("p", { class: "hint", text: words.scopesHint }), ...boxes);
  const domainField = field(words.domains, domains, words.domainsHint);
  const fit = () => {
    scopes.hidden = kind.value !== "secret";
    domainField.hidden = kind.value === "secret";
    domains.required = kind.value !== "secret";
  };
  kind.addEventListener("change", fit);
  fit();
  openDialog({
    title: words.make,
    body: [field(words.name, name, words.nameHint), field(words.kind, kind), field(words.mode, choice("mode", Object.entries(words.modes))), scopes, domainField],
    act: words.create,
    cancel: texts.cancel,
    explain,
    done: async (form) => {
      /** @type {Record<string, unknown>} */
      const body = { kind: kind.value, name: name.value, mode: form.get("mode") };
      if (kind.value === "secret") body.scopes = form.getAll("scopes");
      else body.domains = domains.value.split(/[\s,]+/).filter(Boolean);
      const made = await stage.api.send("/v1/keys", body);
      await reload();
      showMade(stage, made);
    },
  });
}

/**
 * @param {Stage} stage
 * @param {Key} made
 */
function showMade(stage, made) {
  const words = stage.texts.key;
  showOnce(stage, { title: words.made, label: made.name, text: made.key, copied: words.copied });
}
