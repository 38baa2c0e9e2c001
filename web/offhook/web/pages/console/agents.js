// @ts-check
/** Agents and their versions: compare, publish, roll back. */
import { openDialog } from "./dialog.js";
import { make, refill, table } from "./dom.js";
import { shortMoment } from "./format.js";
import { fill, wordFor } from "./texts.js";

/** @typedef {Record<string, any>} Agent */
/** @typedef {Record<string, any>} Version */
/** @typedef {import("./page.js").Stage} Stage */

/** @param {Stage} stage */
export function showAgents(stage) {
  const { place, texts } = stage;
  const words = texts.agent;
  const rows = make("tbody");
  const empty = make("p", { class: "empty", text: texts.loading });
  const box = table(words.caption, words.columns, rows);
  box.append(empty);
  const more = make("button", { class: "plain", text: texts.more, attributes: { type: "button" } });
  more.hidden = true;
  refill(place, make("h1", { text: words.title }), make("p", { class: "quiet", text: words.lead }), box, more);
  let cursor = "";
  async function load() {
    try {
      const page = await stage.api.get("/v1/agents", { limit: "50", cursor }, stage.signal);
      rows.append(
        ...page.agents.map((/** @type {Agent} */ agent) => row(agent, texts)),
        ...page.files.map((/** @type {Agent} */ agent) => fileRow(agent, texts)),
      );
      cursor = page.cursor || "";
      more.hidden = !cursor;
      empty.hidden = Boolean(rows.children.length);
      empty.textContent = words.empty;
    } catch (thrown) {
      empty.hidden = true;
      stage.fail(thrown);
    }
  }
  more.addEventListener("click", load);
  load();
}

/**
 * @param {Agent} agent
 * @param {import("./texts.js").Texts} texts
 */
function row(agent, texts) {
  const number = (/** @type {number | null} */ version) => (version === null ? texts.none : String(version));
  return make(
    "tr",
    { data: { id: agent.id } },
    make("td", {}, make("a", { text: agent.name, attributes: { href: `#/agents/${encodeURIComponent(agent.id)}` } })),
    make("td", {}, make("code", { text: agent.id })),
    make("td", { text: String(agent.newest) }),
    make("td", { text: number(agent.live) }),
    make("td", { text: number(agent.sandbox) }),
    make("td", { text: shortMoment(agent.changed_at) }),
  );
}

/**
 * An agent that a file on the server serves: nothing can be done with it here.
 *
 * @param {Agent} agent
 * @param {import("./texts.js").Texts} texts
 */
function fileRow(agent, texts) {
  const name = make("td", {}, make("span", { class: "name", text: agent.name }), make("span", { class: "tag", text: texts.agent.file }));
  const cells = [texts.none, agent.version, texts.none, texts.none].map((text) => make("td", { text }));
  return make("tr", { data: { file: agent.id } }, name, make("td", {}, make("code", { text: agent.id })), ...cells);
}

/**
 * @param {Stage} stage
 * @param {string} id
 */
export function showAgent(stage, id) {
  const { place, texts } = stage;
  const words = texts.agent;
  const path = `/v1/agents/${encodeURIComponent(id)}`;
  const back = make("a", { class: "back", text: `← ${words.back}`, attributes: { href: "#/agents" } });
  const head = make("header");
  const rows = make("tbody");
  const versions = table(words.versions, words.versionColumns, rows);
  const text = make("pre", { attributes: { tabindex: 0 } });
  const whole = make("details", { class: "card" }, make("summary", { text: words.document }), text);
  const changes = make("section", { class: "card", attributes: { "aria-live": "polite" } });
  changes.hidden = true;
  const waiting = make("p", { class: "quiet", text: texts.loading });
  refill(place, back, waiting);

  async function load() {
    try {
      const [agent, page] = await Promise.all([
        stage.api.get(path, {}, stage.signal),
        stage.api.get(`${path}/versions`, { limit: "100" }, stage.signal),
      ]);
      if (waiting.isConnected) refill(place, back, head, versions, changes, whole);
      refill(head, ...heading(agent));
      text.textContent = agent.text;
      refill(rows, ...page.versions.map((/** @type {Version} */ version) => line(agent, version)));
    } catch (thrown) {
      waiting.remove();
      stage.fail(thrown);
    }
  }

  /** @param {Agent} agent */
  function heading(agent) {
    const out = make("button", { class: "plain", text: words.rollBack, attributes: { type: "button" } });
    out.disabled = agent.live === null;
    out.addEventListener("click", () =>
      openDialog({
        title: fill(words.rollBackTitle, { name: agent.name }),
        lead: words.rollBackLead,
        act: words.rollBack,
        cancel: texts.cancel,
        explain: stage.explain,
        done: async () => {
          await stage.api.send(`${path}/rollback`, { environment: "live" });
          await load();
        },
      }),
    );
    return [make("div", { class: "row spread" }, make("h1", { text: agent.name }), out)];
  }

  /**
   * @param {Agent} agent
   * @param {Version} version
   */
  function line(agent, version) {
    const number = String(version.number);
    const serves = /** @type {const} */ (["live", "sandbox"]).filter((name) => agent[name] === version.number);
    const acts = make("td", { class: "acts" });
    if (agent.live !== null && agent.live !== version.number) {
      const compare = make("button", { class: "plain", text: words.compare, attributes: { type: "button" } });
      compare.addEventListener("click", () => show(agent.live, version.number));
      acts.append(compare);
    }
    for (const environment of /** @type {const} */ (["sandbox", "live"])) {
      if (agent[environment] === version.number) continue;
      const act = fill(words.publish, { environment: words.environments[environment] });
      const button = make("button", { class: "plain", text: act, attributes: { type: "button" } });
      button.addEventListener("click", () =>
        openDialog({
          title: fill(words.publishTitle, { number, environment: words.environments[environment] }),
          lead: words.publishLead,
          act,
          cancel: texts.cancel,
          explain: stage.explain,
          done: async () => {
            await stage.api.send(`${path}/publish`, { version: version.number, environment });
            await load();
          },
        }),
      );
      acts.append(button);
    }
    return make(
      "tr",
      { data: { version: number } },
      make("td", { text: number }),
      make("td", {}, ...(serves.length ? serves : [version.state]).map((word) =>
        make("span", { class: "pill", text: wordFor(words.standings, word), data: { tone: word === "live" ? "good" : "quiet" } }))),
      make("td", { text: version.note || texts.none }),
      make("td", { text: shortMoment(version.created_at) }),
      acts,
    );
  }

  /**
   * @param {number} before
   * @param {number} after
   */
  async function show(before, after) {
    try {
      const found = await stage.api.get(`${path}/diff`, { before: String(before), after: String(after) }, stage.signal);
      const lines = String(found.diff).split("\n").filter((said, index) => said && index > 1);
      const kinds = /** @type {Record<string, string>} */ ({ "+": "added", "-": "removed", "@": "place" });
      const title = fill(words.changes, { before: String(before), after: String(after) });
      const shown = lines.map((said) => make("span", { class: "diff", text: `${said}\n`, data: { kind: kinds[said[0]] || "same" } }));
      changes.hidden = false;
      refill(changes, make("h2", { text: title }),
        lines.length ? make("pre", { attributes: { tabindex: 0 } }, ...shown) : make("p", { class: "quiet", text: words.same }));
    } catch (thrown) {
      stage.fail(thrown);
    }
  }
  load();
}
