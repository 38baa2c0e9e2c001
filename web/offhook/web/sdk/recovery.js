// @ts-check
/** Pauses between two attempts, from the first to the longest; milliseconds. */
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 3000;
/** An attempt that has led to nothing is given up after so long, the whole recovery after the other; milliseconds. */
const ATTEMPT_LIMIT = 5000;
/** As long as the server waits for a caller who is gone. */
export const RECOVERY_LIMIT = 30000;

/** One thing that is broken, and is tried again and again until it is `mended()`. */
class Repair {
  /** @param {() => void} attempt must end in `mended()` or `failed()`; what takes too long is repeated */
  constructor(attempt) {
    this._attempt = attempt;
    this._timer = 0;
    this._pause = FIRST_PAUSE;
    this.needed = false;
  }

  start() {
    if (this.needed) return;
    this.needed = true;
    this._pause = FIRST_PAUSE;
    this.again();
  }

  /** Tries now. */
  again() {
    if (!this.needed) return;
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this.failed(), ATTEMPT_LIMIT);
    this._attempt();
  }

  /** The attempt has come to nothing: the next one comes later, and the pages of one server not all at once. */
  failed() {
    if (!this.needed) return;
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this.again(), this._pause * (0.7 + 0.6 * Math.random()));
    this._pause = Math.min(1.5 * this._pause, LONGEST_PAUSE);
  }

  mended() {
    this.needed = false;
    clearTimeout(this._timer);
  }
}

/** What brings a call back: its socket, its audio, or both; for half a minute. */
export class Recovery {
  /**
   * @param {object} hands
   * @param {() => void} hands.openSocket opens a new socket and resumes the call on it
   * @param {() => void} hands.offerMedia offers a new peer connection; only called while there is a socket
   * @param {() => void} hands.onTooLate
   */
  constructor({ openSocket, offerMedia, onTooLate }) {
    this.socket = new Repair(openSocket);
    this.media = new Repair(() => (this.socket.needed ? undefined : offerMedia()));
    this._onTooLate = onTooLate;
    this._limit = 0;
    // The network is there again: no reason to sit out the pause.
    this._onOnline = () => {
      this.socket.again();
      this.media.again();
    };
    addEventListener("online", this._onOnline);
  }

  /** True while nothing is broken. */
  get whole() {
    return !this.socket.needed && !this.media.needed;
  }

  /** @param {"socket" | "media"} what */
  lost(what) {
    if (!this._limit) this._limit = window.setTimeout(this._onTooLate, RECOVERY_LIMIT);
    this[what].start();
  }

  /** @param {"socket" | "media"} what */
  mended(what) {
    this[what].mended();
    if (what === "socket") this.media.again();
    if (!this.whole) return;
    clearTimeout(this._limit);
    this._limit = 0;
  }

  stop() {
    removeEventListener("online", this._onOnline);
    clearTimeout(this._limit);
    this.socket.mended();
    this.media.mended();
  }
}
