// @ts-check
/** One webhook: what can be done with it, and what it was told. */
import { showDeliveries } from "./deliveries.js";
import { openDialog } from "./dialog.js";
import { choice, field, make, refill } from "./dom.js";
import { askWebhook, showSecret, standing, toldOf } from "./webhooks.js";

/** @typedef {Record<string, any>} Webhook */
/** @typedef {import("./page.js").Stage} Stage */

/**
 * @param {Stage} stage
 * @param {string} id
 */
export function showWebhook(stage, id) {
  const { place, texts, api, explain } = stage;
  const words = texts.webhook;
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const back = make("a", { class: "back", text: `← ${words.back}`, attributes: { href: "#/webhooks" } });
  const head = make("header", { class: "call-head" });
  const waiting = make("p", { class: "quiet", text: texts.loading });
  const log = make("section", { class: "log" });
  refill(place, back, waiting);

  async function load() {
    try {
      const webhook = await api.get(path, {}, stage.signal);
      refill(head, ...heading(webhook));
      if (waiting.isConnected) {
        refill(place, back, head, log);
        showDeliveries(stage, path, log);
      }
    } catch (thrown) {
      waiting.remove();
      stage.fail(thrown);
    }
  }

  /** @param {string} text @param {() => void} act @param {string} [kind] */
  function button(text, act, kind = "plain") {
    const made = make("button", { class: kind, text, attributes: { type: "button" } });
    made.addEventListener("click", act);
    return made;
  }

  /** @param {Webhook} webhook */
  function heading(webhook) {
    const off = webhook.state === "disabled";
    return [
      make("h1", { text: webhook.url }),
      make(
        "div",
        { class: "row" },
        standing(webhook, texts),
        make("span", { class: "quiet", text: `${words.events}: ${toldOf(webhook, texts)}` }),
        make(
          "span",
          { class: "acts" },
          button(words.edit, () => edit(webhook)),
          off ? button(words.enable, enable, "strong") : button(words.disable, disable),
          button(words.rotate, rotate),
          button(words.delete, erase, "plain danger"),
        ),
      ),
      webhook.notice && make("p", { class: "wrong", text: webhook.notice }),
    ];
  }

  /** @param {Webhook} now */
  function edit(now) {
    askWebhook(stage, { title: words.edit, act: words.save, now }, async (wanted) => {
      await api.send(path, wanted, "PATCH");
      await load();
    });
  }

  async function enable() {
    try {
      await api.send(`${path}/enable`);
      await load();
      stage.say(words.enabled);
    } catch (thrown) {
      stage.fail(thrown);
    }
  }

  function disable() {
    const done = async () => {
      await api.send(path, { state: "disabled" }, "PATCH");
      await load();
    };
    openDialog({ title: words.disableTitle, lead: words.disableLead, act: words.disable, cancel: texts.cancel, explain, done });
  }

  function rotate() {
    const overlap = choice("overlap", Object.entries(words.overlaps), "86400");
    openDialog({
      title: words.rotateTitle,
      lead: words.rotateLead,
      body: [field(words.overlap, overlap)],
      act: words.rotate,
      cancel: texts.cancel,
      explain,
      done: async () => showSecret(stage, await api.send(`${path}/rotate`, { overlap: Number(overlap.value) })),
    });
  }

  function erase() {
    openDialog({
      title: words.deleteTitle,
      lead: words.deleteLead,
      act: words.delete,
      cancel: texts.cancel,
      grave: true,
      explain,
      done: async () => {
        await api.send(path, undefined, "DELETE");
        location.hash = "#/webhooks";
        stage.say(words.deleted);
      },
    });
  }
  load();
}
