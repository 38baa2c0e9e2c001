// @ts-check
/**
 * One call, without a face. Make it, listen to it, `start()` it inside the visitor's gesture:
 *
 *     const call = new Call({ token });
 *     call.on("state", (state) => ...);
 *     call.on("transcript", ({ role, text }) => ...);
 *     button.onclick = () => call.start();
 *
 * A lost network or a server that restarts shows as the state `reconnecting`; the call comes back by itself or ends. So
 * that it also outlives a reload of the page, ask for it when the page loads:
 *
 *     const call = Call.recall({});
 *     if (call) call.comeBack();
 *
 * @typedef {import("./states.js").State} State
 * @typedef {import("./states.js").Step} Step
 * @typedef {{token: string, websocketUrl?: string, iceServers?: RTCIceServer[]}} Ticket
 * @typedef {import("./keepsake.js").Keepsake} Keepsake
 * @typedef {{line: number, role: "caller" | "agent", text: string, interrupted: boolean}} Line
 *
 * @typedef {object} Options
 * @property {string | (() => Promise<Ticket>)} [token] what the gateway is shown; a function is asked after the microphone
 *   has opened, so that a short-lived token does not grow old while the visitor reads the browser's question
 * @property {string} [url] the signaling address, relative to the page; default `/api/v1/webrtc/signal`
 * @property {"end-to-end" | "traditional" | "echo"} [mode]
 * @property {RTCIceServer[]} [iceServers]
 * @property {HTMLAudioElement} [audio] where the agent is played; default one that is in no document
 *
 * @typedef {object} Events what `on` hands over
 * @property {State} state the new state
 * @property {"speaking" | "listening" | null} floor what the agent does
 * @property {Line} transcript a line, or a line again that has changed
 * @property {{name: string, data: unknown}} info what the agent sent to the page
 * @property {boolean} muted
 * @property {null} blocked the browser refuses to play; call `play()` inside a gesture
 * @property {CallError} warning something is wrong, but the call goes on
 */
import { Connection } from "./connection.js";
import { asCallError, CallError, fromServer } from "./errors.js";
import { find, leave } from "./keepsake.js";
import { openMicrophone, whyImpossible } from "./microphone.js";
import { socketUrl } from "./signaling.js";
import { Sound } from "./sound.js";
import { isLiving, next } from "./states.js";

/** Longest wait for the first sign of the agent, and for the goodbye after hanging up; milliseconds. */
const CONNECTING_LIMIT = 20000;
const ENDING_LIMIT = 3000;

const HANGUP = "caller_hangup";

export class Call extends EventTarget {
  /** @param {Options} options */
  constructor(options) {
    super();
    this._options = options;
    /** @type {State} */
    this.state = "idle";
    /** @type {"speaking" | "listening" | null} */
    this.floor = null;
    this.muted = false;
    /** What the agent says: one object for the whole call; null where the browser has no media streams. */
    this.remoteStream = window.MediaStream ? new MediaStream() : null;
    /** Why it failed, in the state `error`. @type {CallError | null} */
    this.error = null;
    /** Why it ended, in the state `ended`: a word of the server such as `caller_hangup`. */
    this.reason = "";
    /** Moments of the page's clock, milliseconds; a call may be older than its page. @type {number | null} */
    this._answeredAt = null;
    /** 0 before the end. */
    this._overAt = 0;
    /** A failure the server named and nothing has followed yet. @type {CallError | null} */
    this._named = null;
    /** @type {Keepsake | null} */ this._kept = null;
    /** @type {Connection | null} */ this._connection = null;
    /** @type {Sound | null} */ this._sound = null;
    this._limit = 0;
    this._onPageHide = () => this._leave();
  }

  /**
   * The call that this page was in when it was reloaded, or `null`; `comeBack()` goes on with it.
   *
   * @param {Options} options
   * @returns {Call | null}
   */
  static recall(options) {
    const kept = find();
    if (!kept || whyImpossible()) return null;
    const call = new Call(options);
    call._kept = kept;
    call.muted = kept.muted;
    call._answeredAt = performance.now() - (Date.now() - kept.answeredAt);
    return call;
  }

  /** Whole and broken seconds since the agent answered; stands still once the call is over. */
  get seconds() {
    return this._answeredAt === null ? 0 : ((this._overAt || performance.now()) - this._answeredAt) / 1000;
  }

  /** True once the agent has answered, also after the end. */
  get answered() {
    return this._answeredAt !== null;
  }

  /** The id of the call at the gateway; empty before its answer. */
  get sessionId() {
    return this._connection ? this._connection.sessionId : "";
  }

  /**
   * Listens to an event.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    const heard = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    this.addEventListener(name, heard);
    return () => this.removeEventListener(name, heard);
  }

  /**
   * Calls. Must run inside a gesture of the visitor. Resolves when the offer is on its way or the call is over; it never
   * rejects: what goes wrong shows as the state `error`.
   */
  async start() {
    if (!this._go("start")) return;
    try {
      const impossible = whyImpossible();
      if (impossible) throw impossible;
      const microphone = await this._openSound();
      if (!microphone) return;
      this._setLimit(CONNECTING_LIMIT, () => this._fail(new CallError("connection_failed", "nobody answered in time")));
      const { token = "", iceServers, mode, url } = this._options;
      const ticket = typeof token === "string" ? { token } : await token();
      if (!isLiving(this.state)) return;
      const connection = this._connect({
        url: socketUrl(ticket.websocketUrl || url || "/api/v1/webrtc/signal"),
        iceServers: iceServers || ticket.iceServers || [],
      });
      await connection.offer(microphone, { authToken: ticket.token, callSid: freshId(), ...(mode ? { mode } : {}) });
    } catch (thrown) {
      this._fail(asCallError(thrown));
    }
  }

  /**
   * Goes on with a call of `recall`. Needs no gesture; where the browser wants one before it plays, `blocked` says so.
   */
  async comeBack() {
    if (!this._kept || !this._go("return")) return;
    try {
      const { url, iceServers } = this._kept;
      const connection = this._connect({ url, iceServers });
      connection.comeBack(this._kept);
      await loaded();
      const microphone = await this._openSound();
      if (microphone) connection.speak(microphone);
    } catch (thrown) {
      this._fail(asCallError(thrown));
    }
  }

  /** Hangs up. The state is `ending` until the server has said its last line, then `ended`. */
  end() {
    if (!this._go("hangup")) return;
    if (this._sound) this._sound.setMuted(true);
    if (this._connection) this._connection.close();
    if (!this.sessionId) return this._over("ended", HANGUP);
    this._setLimit(ENDING_LIMIT, () => this._over("ended", HANGUP));
  }

  /** Stops or goes on sending the visitor's voice. @param {boolean} muted */
  setMuted(muted) {
    if (muted === this.muted) return;
    this.muted = muted;
    if (this._sound) this._sound.setMuted(muted);
    this._emit("muted", muted);
  }

  mute() {
    this.setMuted(true);
  }

  unmute() {
    this.setMuted(false);
  }

  /** Plays the agent where the browser had refused (`blocked`); call it inside a gesture. */
  play() {
    if (this._sound) this._sound.play();
  }

  /**
   * How loud a side is, for a picture of it.
   *
   * @param {"agent" | "caller"} who
   * @returns {number} from 0 to 1
   */
  level(who) {
    return this._sound ? this._sound.level(who) : 0;
  }

  /** Plays, and opens the microphone; null when the call was ended while the visitor read the browser's question. */
  async _openSound() {
    // Before the first await: a browser lets a page play and record only while it handles the gesture.
    const remote = /** @type {MediaStream} */ (this.remoteStream);
    this._sound = new Sound(this._options.audio || new Audio(), remote, () => this._emit("blocked", null));
    const microphone = await openMicrophone();
    if (!isLiving(this.state)) {
      // What was opened for nothing is closed.
      microphone.getTracks().forEach((track) => track.stop());
      return null;
    }
    this._sound.addCaller(microphone, this.muted);
    return microphone;
  }

  /** @param {{url: string, iceServers: RTCIceServer[]}} way */
  _connect(way) {
    const connection = new Connection(way, {
      onEvent: (data) => this._happened(data),
      onError: (error) => this._refused(error),
      onTrack: (track) => this._sound && this._sound.setAgent(track),
      onBroken: () => this._go("reconnecting"),
      onWhole: (held) => this._go(held ? "held" : "resumed"),
      onFailed: (error) => this._fail(this._named || error),
      onOver: (reason) => this._over("ended", this.state === "ending" ? HANGUP : reason),
    });
    this._connection = connection;
    addEventListener("pagehide", this._onPageHide);
    return connection;
  }

  /** The page goes away: a call that was answered may be wanted again in a moment, any other is hung up. */
  _leave() {
    const { state, muted, _connection: connection } = this;
    if (!connection) return;
    const keepsake = connection.keepsake;
    if (!keepsake || !["answered", "held", "reconnecting"].includes(state)) return connection.close();
    leave({ ...keepsake, muted, answeredAt: Date.now() - this.seconds * 1000, leftAt: Date.now() });
  }

  /** @param {CallError} error */
  _refused(error) {
    // Before the answer it refuses the call. Later it may refuse one frame only: `ended` says when it is over.
    if (!this.sessionId) return this._fail(error);
    this._named = error;
    this._emit("warning", error);
  }

  /**
   * Events of the server. Those that change the state go through the table, which ignores what does not fit.
   *
   * @param {any} data
   */
  _happened(data) {
    const { event } = data;
    // What the server named before the call went on did not end it.
    if (event !== "ended") this._named = null;
    if (event === "transcript") {
      const { line, text, interrupted } = data;
      const role = data.role === "agent" ? "agent" : "caller";
      this._emit("transcript", { line: Number(line), role, text: String(text), interrupted: Boolean(interrupted) });
    } else if (event === "speaking" || event === "listening") {
      if (this.state === "answered") this._setFloor(event);
    } else if (event === "info") this._emit("info", { name: String(data.name), data: data.data });
    else if (event === "ended") this._ended(data);
    else if (["ringing", "answered", "held", "resumed", "reconnecting"].includes(event)) this._go(event);
  }

  /** @param {any} data of the event `ended` */
  _ended(data) {
    if (this._answeredAt !== null && data.duration > 0) this._overAt = this._answeredAt + data.duration * 1000;
    const reason = String(data.reason);
    if (reason === "at_capacity") this._fail(new CallError("at_capacity", "no free line"));
    else if (reason === "failed") this._fail(this._named || fromServer({ reason: data.failure }));
    else this._over("ended", reason);
  }

  /** @param {CallError} error */
  _fail(error) {
    if (!isLiving(this.state)) return;
    if (this.state !== "ending") this.error = error;
    if (this._connection) this._connection.close();
    this._over("failed", this.state === "ending" ? HANGUP : "failed");
  }

  /**
   * The last step of every call: everything is given back, then the state says so.
   *
   * @param {"ended" | "failed"} step
   * @param {string} reason
   */
  _over(step, reason) {
    clearTimeout(this._limit);
    removeEventListener("pagehide", this._onPageHide);
    if (this._sound) this._sound.close();
    if (this._connection) this._connection.drop();
    if (!this._overAt) this._overAt = performance.now();
    this.reason = reason;
    this._go(step);
  }

  /**
   * Goes one step in the table. False where there is no such row.
   *
   * @param {Step} step
   */
  _go(step) {
    const state = next(this.state, step);
    if (!state) return false;
    this.state = state;
    if (state !== "connecting" && state !== "ending") clearTimeout(this._limit);
    if (state === "answered" && this._answeredAt === null) this._answeredAt = performance.now();
    if (state === "answered" && this._connection) this._connection.hold();
    if (state !== "answered") this._setFloor(null);
    this._emit("state", state);
    return true;
  }

  /** @param {"speaking" | "listening" | null} floor */
  _setFloor(floor) {
    if (floor === this.floor) return;
    this.floor = floor;
    this._emit("floor", floor);
  }

  /**
   * @param {number} milliseconds
   * @param {() => void} late
   */
  _setLimit(milliseconds, late) {
    clearTimeout(this._limit);
    this._limit = window.setTimeout(late, milliseconds);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Resolves when the page has loaded; it would not, as long as it waits for the agent's first sound. */
function loaded() {
  return new Promise((resolve) => {
    if (document.readyState === "complete") resolve(null);
    else addEventListener("load", resolve, { once: true });
  });
}

/** A fresh id of this call: an offer that is repeated with it makes no second call. */
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
