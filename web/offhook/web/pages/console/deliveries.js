// @ts-check
/** What a webhook was told and what came of it; each message can be sent again. */
import { mayPass } from "./api.js";
import { openDialog } from "./dialog.js";
import { choice, field, make, refill, table } from "./dom.js";
import { exactMoment, shortMoment, span } from "./format.js";
import { fill, wordFor } from "./texts.js";

/** Milliseconds between two looks at deliveries of which some wait. */
const REFRESH = 2000;
const TONES = /** @type {Record<string, string>} */ ({ pending: "warm", delivered: "good", failed: "bad" });

/** @typedef {Record<string, any>} Delivery */
/** @typedef {import("./page.js").Stage} Stage */

/**
 * @param {Stage} stage
 * @param {string} path of the webhook
 * @param {HTMLElement} place
 */
export function showDeliveries(stage, path, place) {
  const { texts, api, explain, signal } = stage;
  const words = texts.webhook;
  const which = choice("which", Object.entries(words.states));
  which.setAttribute("aria-label", words.which);
  const failed = make("button", { class: "plain", text: words.failedAgain, attributes: { type: "button" } });
  const rows = make("tbody");
  const empty = make("p", { class: "empty", text: texts.loading });
  const box = table(words.deliveryCaption, words.deliveryColumns, rows);
  box.append(empty);
  const more = make("button", { class: "plain", text: texts.more, attributes: { type: "button" } });
  more.hidden = true;
  refill(
    place,
    make("div", { class: "row spread" }, make("h2", { text: words.deliveries }), make("div", { class: "row" }, which, failed)),
    box,
    more,
  );

  /** @type {Delivery[]} */
  let shown = [];
  let cursor = "";
  let wake = 0;
  let stale = false;

  /** @param {boolean} anew */
  async function load(anew) {
    clearTimeout(wake);
    const asked = { limit: "50", state: which.value, cursor: anew ? "" : cursor };
    try {
      const page = await api.get(`${path}/deliveries`, asked, signal);
      const before = JSON.stringify(shown);
      shown = anew ? page.deliveries : shown.concat(page.deliveries);
      cursor = page.cursor || "";
      if (JSON.stringify(shown) !== before || !shown.length) paint();
    } catch (thrown) {
      if (signal.aborted) return;
      empty.hidden = true;
      if (!stale || !mayPass(thrown)) stage.fail(thrown);
      stale = true;
      // A page that was asked for is asked for again by whoever wants it.
      if (anew && mayPass(thrown)) wake = setTimeout(() => signal.aborted || load(true), REFRESH);
      return;
    }
    if (stale) stage.mended();
    stale = false;
    // Further pages are left as they were read.
    const waits = shown.length <= 50 && shown.some((delivery) => delivery.state === "pending");
    if (waits) wake = setTimeout(() => signal.aborted || load(true), REFRESH);
  }

  function paint() {
    const focused = document.activeElement;
    const held = focused instanceof HTMLButtonElement && rows.contains(focused) ? focused.id : "";
    refill(rows, ...shown.map(row));
    const again = held && document.getElementById(held);
    if (again) again.focus();
    empty.hidden = Boolean(shown.length);
    empty.textContent = which.value ? words.noneFit : words.noDeliveries;
    more.hidden = !cursor;
  }

  /** @param {Delivery} delivery */
  function row(delivery) {
    const details = make("button", { class: "plain", text: words.details, attributes: { type: "button", id: `d-${delivery.message}` } });
    details.addEventListener("click", () => show(delivery));
    const again = make("button", { class: "plain", text: words.again, attributes: { type: "button", id: `a-${delivery.message}` } });
    again.addEventListener("click", () => send({ message: delivery.message }).then(() => stage.say(words.againNow), stage.fail));
    return make(
      "tr",
      { data: { message: delivery.message } },
      make("td", { text: exactMoment(delivery.at) }),
      make("td", {}, make("code", { text: delivery.event })),
      make("td", {}, make("span", { class: "pill", text: wordFor(words.states, delivery.state), data: { tone: TONES[delivery.state] } })),
      make("td", { class: "number", text: String(delivery.attempts) }),
      make("td", { class: "many", text: answer(delivery) }),
      make("td", { class: "number", text: delivery.took === null ? texts.none : span(delivery.took) }),
      make("td", { text: delivery.state === "pending" ? shortMoment(delivery.next_at) : texts.none }),
      make("td", { class: "acts" }, details, again),
    );
  }

  /** Of a delivery or of one attempt. @param {Record<string, any>} tried */
  function answer({ status, error }) {
    return error || (status === null ? texts.none : fill(words.answered, { status: String(status) }));
  }

  /** @param {object} wanted */
  async function send(wanted) {
    const { count } = await api.send(`${path}/replay`, wanted);
    await load(true);
    return String(count);
  }

  /** @param {Delivery} delivery */
  async function show(delivery) {
    try {
      const found = await api.get(`${path}/deliveries/${encodeURIComponent(delivery.message)}`, {}, signal);
      const tries = found.history.map((/** @type {any} */ one) =>
        make("li", {}, `${exactMoment(one.at)} · ${answer(one)} · ${span(one.took)}`));
      const call = make("a", { text: delivery.call, attributes: { href: `#/calls/${encodeURIComponent(delivery.call)}` } });
      const box = openDialog({
        title: fill(words.detailsTitle, { event: delivery.event, time: exactMoment(delivery.at) }),
        body: [
          make("p", {}, `${words.message}: `, make("code", { text: delivery.message })),
          make("p", {}, `${words.call}: `, call),
          make("h3", { text: words.tries }),
          tries.length ? make("ol", {}, ...tries) : make("p", { class: "quiet", text: words.untried }),
          make("h3", { text: words.request }),
          make("pre", { text: JSON.stringify(JSON.parse(found.body), null, 2), attributes: { tabindex: 0 } }),
        ],
        act: texts.close,
        cancel: null,
        explain,
        done: () => undefined,
      });
      call.addEventListener("click", () => box.close());
    } catch (thrown) {
      stage.fail(thrown);
    }
  }

  failed.addEventListener("click", () => {
    const since = choice("since", Object.entries(words.spans), "86400");
    openDialog({
      title: words.failedTitle,
      lead: words.failedLead,
      body: [field(words.since, since)],
      act: words.again,
      cancel: texts.cancel,
      explain,
      done: async () => {
        const count = await send({ since: Date.now() / 1000 - Number(since.value) });
        stage.say(fill(words.countAgain, { count }));
      },
    });
  });
  which.addEventListener("change", () => load(true));
  more.addEventListener("click", () => load(false));
  load(true);
}
