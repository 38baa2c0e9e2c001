// @ts-check
/** One call: who and when, its states, what was said, what came of it. */
import { mayPass } from "./api.js";
import { eventLog } from "./call_events.js";
import { pill } from "./calls.js";
import { openDialog } from "./dialog.js";
import { make, refill } from "./dom.js";
import { clock, exactMoment, moment, span } from "./format.js";
import { showPlayer } from "./player.js";
import { saveFile } from "./save.js";
import { fill, wordFor } from "./texts.js";
import { timeline } from "./timeline.js";

/** Milliseconds between two looks at a call that goes on. */
const REFRESH = 2000;
/** Milliseconds between two looks at one whose analysis is being made. */
const REFRESH_ENDED = 5000;

/** @typedef {Record<string, any>} CallRecord */
/** @typedef {import("./page.js").Stage} Stage */

/**
 * @param {Stage} stage
 * @param {string} id
 */
export function showCall(stage, id) {
  const { place, texts } = stage;
  const parts = {
    head: make("header", { class: "call-head" }),
    states: section(texts.call.timeline),
    recording: section(texts.call.recording),
    transcript: section(texts.call.transcript),
    facts: section(texts.call.facts),
    numbers: section(texts.call.numbers),
    quality: section(texts.call.quality),
    analysis: section(texts.call.analysis),
  };
  const raw = make("pre", { attributes: { tabindex: 0 } });
  const back = make("a", { class: "back", text: `← ${texts.call.back}`, attributes: { href: "#/calls" } });
  const waiting = make("p", { class: "quiet", text: texts.loading });
  refill(place, back, waiting);
  let before = "";
  /** @type {Promise<import("./player.js").Player | null> | undefined} */
  let player;

  /** @param {CallRecord} record */
  function paint(record) {
    const text = JSON.stringify(record, null, 2);
    if (text === before && record.state === "ended") return;
    if (!before) {
      const details = make("details", { class: "card" }, make("summary", { text: texts.call.raw }), raw);
      const told = [parts.states.card, parts.recording.card, parts.transcript.card, eventLog(stage, id), details];
      const main = make("div", { class: "column" }, ...told);
      const side = make("div", { class: "column side" }, parts.facts.card, parts.numbers.card, parts.quality.card, parts.analysis.card);
      refill(place, back, parts.head, make("div", { class: "columns" }, main, side));
    }
    if (text !== before) {
      refill(parts.head, ...head(record, stage));
      refill(parts.facts.body, facts(record, texts));
      refill(parts.transcript.body, transcript(record, texts));
      parts.recording.card.hidden = !isRecorded(record);
      if (isRecorded(record)) {
        const lines = Array.from(parts.transcript.body.querySelectorAll(".line"));
        player = player || showPlayer(stage, record, parts.recording.body);
        player.then((made) => made && made.follow(lines));
      }
      refill(parts.numbers.body, numbers(record, texts));
      parts.quality.card.hidden = !record.quality;
      refill(parts.quality.body, record.quality && quality(record.quality, texts));
      parts.analysis.card.hidden = !record.analysis;
      refill(parts.analysis.body, record.analysis && analysis(record.analysis, texts));
      raw.textContent = text;
      before = text;
    }
    refill(parts.states.body, timeline(record.states, texts, Date.now() / 1000));
  }

  let stale = false;
  async function again() {
    /** @type {CallRecord} */
    let record;
    try {
      record = await stage.api.get(`/v1/calls/${encodeURIComponent(id)}`, {}, stage.signal);
    } catch (thrown) {
      if (stage.signal.aborted) return;
      waiting.remove();
      if (!stale || !mayPass(thrown)) stage.fail(thrown);
      stale = true;
      // What is shown may be out of date until the server answers again.
      if (mayPass(thrown)) setTimeout(() => stage.signal.aborted || again(), REFRESH);
      return;
    }
    if (stale) stage.mended();
    stale = false;
    paint(record);
    const open = record.state !== "ended" || (record.analysis && record.analysis.state === "pending");
    if (open) setTimeout(() => stage.signal.aborted || again(), record.state === "ended" ? REFRESH_ENDED : REFRESH);
  }
  again();
}

/** Whether there is a recording, finished, that keeps step with the transcript. @param {CallRecord} record */
function isRecorded(record) {
  return record.state === "ended" && Boolean(record.recording) && record.recording.began_at !== null;
}

/** @param {string} title */
function section(title) {
  const body = make("div");
  return { body, card: make("section", { class: "card" }, make("h2", { text: title }), body) };
}

/**
 * @param {CallRecord} record
 * @param {Stage} stage
 */
function head(record, stage) {
  const { texts, say } = stage;
  const copy = make("button", { class: "plain", text: texts.call.copyId, attributes: { type: "button" } });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(record.id);
    say(texts.call.copied);
    copy.textContent = texts.call.copied;
  });
  const save = make("button", { class: "plain", text: texts.call.download, attributes: { type: "button" } });
  save.addEventListener("click", () => {
    saveFile(`${record.id}.json`, new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }));
  });
  const erase = make("button", { class: "plain danger", text: texts.call.erase, attributes: { type: "button" } });
  erase.addEventListener("click", () => askErase(record, stage));
  erase.hidden = record.state !== "ended";
  return [
    make("h1", { text: fill(texts.call.title, { agent: record.agent || texts.call.nobody }) }),
    make(
      "div",
      { class: "row" },
      pill(record.state, texts),
      record.reason && make("span", { class: "quiet", text: wordFor(texts.reasons, record.reason) }),
      make("span", { class: "quiet", text: moment(record.created_at) }),
      make("span", { class: "acts" }, ...orders(record, stage), copy, save, erase),
    ),
  ];
}

/**
 * What can be done with a call that goes on.
 *
 * @param {CallRecord} record
 * @param {Stage} stage
 */
function orders(record, { api, texts, say, fail, explain }) {
  const words = texts.call;
  const give = (/** @type {string} */ order) =>
    api.send(`/v1/calls/${encodeURIComponent(record.id)}/${order}`, undefined, "POST");
  const button = (/** @type {string} */ text, /** @type {() => void} */ act, danger = false) => {
    const made = make("button", { class: danger ? "plain danger" : "plain", text, attributes: { type: "button" } });
    made.addEventListener("click", act);
    return made;
  };
  const now = (/** @type {string} */ order, /** @type {string} */ done) => async () => {
    try {
      await give(order);
      say(done);
    } catch (thrown) {
      fail(thrown);
    }
  };
  const askEnd = () =>
    openDialog({
      title: words.endTitle,
      lead: words.endLead,
      act: words.end,
      cancel: texts.cancel,
      grave: true,
      explain,
      done: async () => {
        await give("end");
        say(words.endedNow);
      },
    });
  if (["ending", "ended"].includes(record.state)) return [];
  const end = button(words.end, askEnd, true);
  if (record.state === "answered") return [button(words.hold, now("hold", words.heldNow)), end];
  if (record.state === "held") return [button(words.resume, now("resume", words.resumedNow)), end];
  return [end];
}

/**
 * @param {CallRecord} record
 * @param {Stage} stage
 */
function askErase(record, { api, texts, say, explain }) {
  openDialog({
    title: texts.call.eraseTitle,
    lead: texts.call.eraseLead,
    act: texts.call.erase,
    cancel: texts.cancel,
    grave: true,
    explain,
    done: async () => {
      await api.send(`/v1/calls/${encodeURIComponent(record.id)}`, undefined, "DELETE");
      location.hash = "#/calls";
      say(texts.call.erased);
    },
  });
}

/** @param {[string, string | Node | null | undefined][]} rows those without a value are left out */
function terms(rows) {
  const list = make("dl");
  for (const [name, value] of rows) {
    if (value === null || value === undefined || value === "") continue;
    list.append(make("div", {}, make("dt", { text: name }), make("dd", {}, value)));
  }
  return list;
}

/** @param {Record<string, unknown>} values */
function pairs(values) {
  const entries = Object.entries(values);
  return entries.length ? terms(entries.map(([name, value]) => [name, String(value)])) : null;
}

/**
 * @param {CallRecord} record
 * @param {import("./texts.js").Texts} texts
 */
function facts(record, texts) {
  const words = texts.call;
  const when = (/** @type {number | null} */ at) => (at === null ? null : exactMoment(at));
  return terms([
    [words.id, make("code", { text: record.id })],
    [words.agent, record.agent],
    [words.version, record.version],
    [words.variant, record.variant],
    [words.channel, record.channel],
    [words.mode, record.mode],
    [words.caller, record.caller],
    [words.callee, record.callee],
    [words.began, when(record.created_at)],
    [words.answered, when(record.answered_at)],
    [words.ended, when(record.ended_at)],
    [words.duration, record.answered_at === null ? null : clock(record.duration)],
    [words.failure, record.failure],
    [words.variables, pairs(record.variables)],
    [words.metadata, pairs(record.metadata)],
  ]);
}

/**
 * What can be counted in the record.
 *
 * @param {CallRecord} record
 * @param {import("./texts.js").Texts} texts
 */
function numbers(record, texts) {
  const words = texts.call;
  /** @type {{role: string, began: number, ended: number, interrupted: boolean}[]} */
  const lines = record.transcript;
  const spoke = (/** @type {string} */ role) =>
    lines.filter((line) => line.role === role).reduce((sum, line) => sum + Math.max(0, line.ended - line.began), 0);
  const answered = record.answered_at;
  return terms([
    [words.untilAnswer, answered === null ? null : span(answered - record.created_at)],
    [words.firstWord, answered === null || !lines.length ? null : span(lines[0].began - answered)],
    [words.lines, String(lines.length)],
    [words.agentSpoke, span(spoke("agent"))],
    [words.callerSpoke, span(spoke("caller"))],
    [words.interruptions, String(lines.filter((line) => line.interrupted).length)],
  ]);
}

/**
 * How loud the caller's microphone was at most, if it told (dBov); a quiet room has about -60, one that is off -127.
 *
 * @param {number | undefined} loudest
 * @param {import("./texts.js").Texts["call"]} words
 */
function loudness(loudest, words) {
  if (loudest === undefined || loudest === null) return null;
  return loudest <= -80 ? words.microphoneSilent : fill(words.microphoneLoudest, { level: String(loudest) });
}

/**
 * How the audio fared; what is 0 is left out of the record.
 *
 * @param {Record<string, number | undefined>} found
 * @param {import("./texts.js").Texts} texts
 */
function quality(found, texts) {
  const words = texts.call;
  const time = (/** @type {number | undefined} */ seconds) => (seconds ? span(seconds) : null);
  const share = (lost = 0, of = 0) =>
    of ? fill(words.share, { part: ((100 * lost) / of).toFixed(1), count: String(of) }) : null;
  return terms([
    [words.microphone, loudness(found.loudest, words)],
    [words.opinion, found.mos ? fill(words.opinionOf, { score: found.mos.toFixed(1) }) : null],
    [words.roundTrip, time(found.round_trip)],
    [words.jitter, time(found.jitter)],
    [words.lossHere, share(found.lost, (found.received || 0) + (found.lost || 0))],
    [words.lossThere, share(found.lost_there, found.sent)],
    [words.recovered, time(found.recovered)],
    [words.concealed, time(found.concealed)],
  ]);
}

/**
 * @param {CallRecord} record
 * @param {import("./texts.js").Texts} texts
 */
function transcript(record, texts) {
  const words = texts.call;
  if (!record.transcript.length) return make("p", { class: "quiet", text: words.nothingSaid });
  const zero = record.answered_at === null ? record.created_at : record.answered_at;
  const heard = isRecorded(record);
  const when = (/** @type {string} */ time) =>
    heard
      ? make("button", { class: "when", text: time, attributes: { type: "button", "aria-label": fill(words.goTo, { time }) } })
      : make("span", { class: "when", text: time });
  return make(
    "ol",
    { class: heard ? "lines heard" : "lines" },
    ...record.transcript.map((/** @type {any} */ line) =>
      make(
        "li",
        { class: "line", data: { role: line.role, line: String(line.line) } },
        when(clock(line.began - zero)),
        make("span", { class: "who", text: wordFor(words.saidBy, line.role) }),
        make("span", { class: "said", text: line.text }),
        line.interrupted && make("span", { class: "cut", text: words.interrupted }),
      ),
    ),
  );
}

/**
 * @param {Record<string, any>} found
 * @param {import("./texts.js").Texts} texts
 */
function analysis(found, texts) {
  const words = texts.call;
  if (found.state !== "done") {
    const sentence = wordFor(words.analysisStates, found.state);
    return make("p", { class: "quiet", text: fill(sentence, { error: found.error || "" }) });
  }
  return make(
    "div",
    {},
    found.summary && make("p", { text: found.summary }),
    terms([[words.outcome, found.outcome], ...Object.entries(found.fields).map(
      ([name, value]) => /** @type {[string, string]} */ ([name, value === null ? texts.none : String(value)]))]),
  );
}
