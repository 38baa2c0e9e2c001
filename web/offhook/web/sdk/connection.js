// @ts-check
/**
 * What connects one call: a socket and a peer connection, and what replaces them when they are lost. The call they belong
 * to stays the same.
 *
 * New audio takes over before the old one is closed. Events are numbered by the server: after a new socket those that
 * were missed come first, and none comes twice.
 *
 * @typedef {import("./keepsake.js").Keepsake} Keepsake
 *
 * @typedef {object} Listener
 * @property {(data: any) => void} onEvent an event of the server, in order and once
 * @property {(error: CallError) => void} onError the server refused something
 * @property {(track: MediaStreamTrack) => void} onTrack the agent's voice; it replaces the one before
 * @property {() => void} onBroken something was lost and is being brought back
 * @property {(held: boolean) => void} onWhole all is there again
 * @property {(error: CallError) => void} onFailed lost before the call was answered: nothing to come back to
 * @property {(reason: "lost" | "replaced") => void} onOver there is no way back; `replaced`: it goes on elsewhere
 */
import { asCallError, CallError, fromServer } from "./errors.js";
import { Peer } from "./peer.js";
import { Recovery } from "./recovery.js";
import { Signaling } from "./signaling.js";

/** The server's close code for a socket whose call goes on with another one. */
const REPLACED = 4409;
/** Events that tell of a state, after which nothing has to be brought back on this side. */
const STATES = ["ringing", "answered", "held", "resumed"];

export class Connection {
  /**
   * @param {{url: string, iceServers: RTCIceServer[]}} way `url` as `socketUrl` gives it
   * @param {Listener} listener
   */
  constructor(way, listener) {
    this._way = way;
    this._listener = listener;
    this.sessionId = "";
    /** Lets us come back once. */
    this._token = "";
    /** The last event seen, and the last that was history when we came back: it tells nothing of now. */
    this._seq = 0;
    this._past = 0;
    /** The call's state as the server told it last. */
    this._state = "";
    this._hungUp = false;
    /** @type {MediaStream | null} */ this._microphone = null;
    /** @type {Signaling | null} */ this._signaling = null;
    /** The connection that carries the call, and the one that is to take over. */
    /** @type {Peer | null} */ this._peer = null;
    /** @type {Peer | null} */ this._next = null;
    /** Once the call is answered. @type {Recovery | null} */
    this._recovery = null;
  }

  /**
   * Makes the call.
   *
   * @param {MediaStream} microphone
   * @param {{authToken: string, callSid: string, mode?: string}} fields
   */
  async offer(microphone, fields) {
    this._microphone = microphone;
    const signaling = this._connect();
    this._next = this._makePeer(microphone);
    const sdp = await this._next.offer();
    await signaling.opened;
    signaling.offer(sdp, { sessionId: "", ...fields });
  }

  /** From now on what is lost is brought back, as far as the server can. */
  hold() {
    if (this._recovery || !this._token) return;
    this._recovery = new Recovery({
      openSocket: () => this._resume(),
      offerMedia: () => this._offerAgain(),
      onTooLate: () => this._listener.onOver("lost"),
    });
  }

  /** Comes back to a call of a page that was reloaded; audio follows when there is a microphone. @param {Keepsake} kept */
  comeBack(kept) {
    this.sessionId = kept.sessionId;
    this._token = kept.token;
    this.hold();
    this._lost("media");
    this._lost("socket");
  }

  /** @param {MediaStream} microphone */
  speak(microphone) {
    this._microphone = microphone;
    if (this._recovery) this._recovery.media.again();
  }

  /** What another page needs to come back, or `null` where the server does not offer it. */
  get keepsake() {
    return this._token ? { ...this._way, sessionId: this.sessionId, token: this._token } : null;
  }

  /** Ends the call gracefully; the server answers with the event `ended`. */
  close() {
    this._hungUp = true;
    if (this._signaling) this._signaling.close(this.sessionId);
  }

  /** Closes everything without another word. */
  drop() {
    if (this._recovery) this._recovery.stop();
    if (this._next) this._next.close();
    if (this._peer) this._peer.close();
    if (this._signaling) this._signaling.drop();
  }

  // ── the socket ──────────────────────────────────────────────────────────────────────────────────────────────

  _connect() {
    if (this._signaling) this._signaling.drop();
    this._signaling = new Signaling(this._way.url, {
      onFrame: (frame) => this._heard(frame),
      onGone: (code) => this._gone(code),
    });
    return this._signaling;
  }

  async _resume() {
    const signaling = this._connect();
    // What goes wrong is told to `_gone`.
    await signaling.opened.then(() => signaling.resume(this.sessionId, this._token, this._seq)).catch(() => {});
  }

  /** @param {number} code */
  _gone(code) {
    if (code === REPLACED) this._listener.onOver("replaced");
    else if (!this._recovery) this._listener.onFailed(new CallError("server_gone", `the socket closed (${code})`));
    else if (this._recovery.socket.needed) this._recovery.socket.failed();
    else this._lost("socket");
  }

  /** @param {import("./signaling.js").Frame} frame */
  _heard(frame) {
    const data = frame.data || {};
    const peer = this._newest;
    if (frame.type === "event") this._happened(data);
    else if (frame.type === "resumed") this._resumed(data);
    else if (frame.type === "error") this._refused(fromServer(data), data.reason === "unavailable");
    else if (frame.type === "ice-candidate" && peer) peer.addCandidate(data);
    else if (frame.type === "answer" && this._next) {
      this.sessionId = String(frame.sessionId || "");
      this._token = String(data.resumeToken || "");
      this._accept(this._next, String(data.sdp));
    }
  }

  /** @param {any} data of `resumed` */
  _resumed(data) {
    if (!this._recovery) return;
    this._token = String(data.resumeToken || "");
    this._past = Number(data.seq) || 0;
    this._state = String(data.state);
    if (this._hungUp) this.close();
    this._recovery.mended("socket");
    if (this._state === "reconnecting") this._lost("media");
    this._check();
  }

  /**
   * @param {CallError} error
   * @param {boolean} passing the server asks to try again
   */
  _refused(error, passing) {
    const recovery = this._recovery;
    if (!recovery || !recovery.socket.needed) return this._listener.onError(error);
    if (!passing) return this._listener.onOver("lost");
    recovery.socket.failed();
  }

  /** @param {any} data of an event */
  _happened(data) {
    const seq = Number(data.seq) || 0;
    if (seq <= this._seq) return;
    this._seq = seq;
    const { event } = data;
    const isState = STATES.includes(event) || event === "reconnecting";
    if (isState && seq <= this._past) return;
    if (event === "reconnecting") this._lost("media");
    // The server's word counts for audio that it has missed itself; it may have found the old one again.
    if (STATES.includes(event) && this._state === "reconnecting" && this._recovery) this._recovery.mended("media");
    if (isState) this._state = event;
    if (STATES.includes(event) && this._recovery && !this._recovery.whole) return;
    this._listener.onEvent(data);
  }

  get _newest() {
    return this._next || this._peer;
  }

  // ── the audio ───────────────────────────────────────────────────────────────────────────────────────────────

  /** @param {MediaStream} microphone */
  _makePeer(microphone) {
    const peer = new Peer(this._way.iceServers, microphone, {
      onCandidate: (candidate) => this._signaling && this._signaling.candidate(this.sessionId, candidate),
      onUp: (track) => this._takeOver(peer, track),
      onLost: () => this._peerLost(peer),
    });
    return peer;
  }

  async _offerAgain() {
    if (!this._microphone) return;
    const before = this._next;
    if (before) before.close();
    this._next = null;
    // A socket can be dead for minutes before the browser knows: one that brought no answer is replaced first.
    if (before && !before.answered) return this._lost("socket");
    const peer = (this._next = this._makePeer(this._microphone));
    const sdp = await peer.offer().catch(() => "");
    if (!sdp || peer !== this._next || !this._signaling) return;
    this._signaling.offer(sdp, { sessionId: this.sessionId, authToken: this._token });
  }

  /**
   * @param {Peer} peer
   * @param {string} sdp
   */
  async _accept(peer, sdp) {
    try {
      await peer.accept(sdp);
    } catch (thrown) {
      // Closed meanwhile, for a newer one or with the call.
      if (peer !== this._next) return;
      if (!this._recovery) this._listener.onFailed(asCallError(thrown));
      else this._peerLost(peer);
    }
  }

  /**
   * @param {Peer} peer
   * @param {MediaStreamTrack} track
   */
  _takeOver(peer, track) {
    if (this._peer) this._peer.close();
    this._peer = peer;
    this._next = null;
    this._listener.onTrack(track);
    if (!this._recovery) return;
    this._recovery.mended("media");
    this._check();
  }

  /** @param {Peer} peer */
  _peerLost(peer) {
    if (!this._recovery) {
      const code = this._peer ? "connection_lost" : "connection_failed";
      this._listener.onFailed(new CallError(code, "no path between browser and server"));
    } else if (peer === this._peer) this._lost("media");
    else if (this._recovery.media.needed) this._recovery.media.failed();
    // The first connection of a call whose server says that it stands.
    else this._lost("media");
  }

  // ── both ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param {"socket" | "media"} what */
  _lost(what) {
    if (!this._recovery) return;
    this._recovery.lost(what);
    this._listener.onBroken();
  }

  _check() {
    if (this._recovery && this._recovery.whole && this._state !== "reconnecting") {
      this._listener.onWhole(this._state === "held");
    }
  }
}
