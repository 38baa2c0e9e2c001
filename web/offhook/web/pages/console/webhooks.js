// @ts-check
/** The webhooks of the workspace: who is told of calls. */
import { openDialog, showOnce } from "./dialog.js";
import { field, make, refill, table } from "./dom.js";
import { shortMoment } from "./format.js";
import { fill } from "./texts.js";

/** @typedef {Record<string, any>} Webhook */
/** @typedef {import("./page.js").Stage} Stage */

const EVENTS = [
  "call.started", "call.ringing", "call.answered", "transcript.final", "call.ended", "analysis.done", "recording.ready",
];

/** @param {Stage} stage */
export function showWebhooks(stage) {
  const { place, texts } = stage;
  const words = texts.webhook;
  const fresh = make("button", { class: "strong", text: words.make, attributes: { type: "button" } });
  const rows = make("tbody");
  const empty = make("p", { class: "empty", text: texts.loading });
  const box = table(words.caption, words.columns, rows);
  box.append(empty);
  refill(
    place,
    make("div", { class: "row spread" }, make("h1", { text: words.title }), fresh),
    make("p", { class: "quiet", text: words.lead }),
    box,
  );

  async function load() {
    try {
      const found = (await stage.api.get("/v1/webhooks", {}, stage.signal)).webhooks;
      refill(rows, ...found.map((/** @type {Webhook} */ webhook) => row(webhook, texts)));
      empty.hidden = Boolean(found.length);
      empty.textContent = words.empty;
    } catch (thrown) {
      empty.hidden = true;
      stage.fail(thrown);
    }
  }
  fresh.addEventListener("click", () =>
    askWebhook(stage, { title: words.make, act: words.create }, async (wanted) => {
      const made = await stage.api.send("/v1/webhooks", wanted);
      await load();
      showSecret(stage, made);
    }),
  );
  load();
}

/**
 * @param {Webhook} webhook
 * @param {import("./texts.js").Texts} texts
 */
function row(webhook, texts) {
  return make(
    "tr",
    { data: { id: webhook.id } },
    make("td", {}, make("a", { class: "name", text: webhook.url, attributes: { href: `#/webhooks/${encodeURIComponent(webhook.id)}` } })),
    make("td", { class: "many", text: toldOf(webhook, texts) }),
    make("td", {}, standing(webhook, texts)),
    make("td", { text: shortMoment(webhook.created_at) }),
  );
}

/**
 * @param {Webhook} webhook
 * @param {import("./texts.js").Texts} texts
 */
export function toldOf(webhook, texts) {
  return webhook.events.join(" ") || texts.webhook.everything;
}

/**
 * @param {Webhook} webhook
 * @param {import("./texts.js").Texts} texts
 */
export function standing(webhook, texts) {
  const words = texts.webhook;
  if (webhook.state === "disabled") return make("span", { class: "pill", text: words.disabled, data: { tone: "bad" } });
  if (webhook.failing_since === null) return make("span", { class: "pill", text: words.sends, data: { tone: "good" } });
  const since = fill(words.failing, { time: shortMoment(webhook.failing_since) });
  return make("span", { class: "pill", text: since, data: { tone: "warm" } });
}

/**
 * Ask where a webhook leads and what it is told of.
 *
 * @param {Stage} stage
 * @param {object} asked
 * @param {string} asked.title
 * @param {string} asked.act
 * @param {Webhook} [asked.now] as it is
 * @param {(wanted: {url: string, events: string[]}) => Promise<void>} done
 */
export function askWebhook({ texts, explain }, { title, act, now }, done) {
  const words = texts.webhook;
  const url = make("input", {
    attributes: { id: "url", name: "url", type: "url", required: true, maxlength: 2000, autocomplete: "off", value: now && now.url },
  });
  const boxes = EVENTS.map((event) => {
    const checked = Boolean(now && now.events.includes(event));
    return make("label", { class: "check" }, make("input", { attributes: { type: "checkbox", name: "events", value: event, checked } }), event);
  });
  const events = make("fieldset", {}, make("legend", { text: words.events }), make("p", { class: "hint", text: words.eventsHint }), ...boxes);
  openDialog({
    title,
    body: [field(words.url, url, words.urlHint), events],
    act,
    cancel: texts.cancel,
    explain,
    done: (form) => done({ url: url.value.trim(), events: form.getAll("events").map(String) }),
  });
}

/**
 * @param {Stage} stage
 * @param {Webhook} made
 */
export function showSecret(stage, made) {
  const words = stage.texts.webhook;
  showOnce(stage, { title: words.made, label: words.secret, text: made.secret, copied: words.copied });
}
