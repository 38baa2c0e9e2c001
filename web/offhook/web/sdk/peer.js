// @ts-check
import { CallError } from "./errors.js";

/**
 * The server sends a packet each 20 ms, also while nobody speaks. So many looks in a row, so far apart (milliseconds),
 * without a new packet: the audio is lost. Looks are counted and not time, so that a page that was frozen first looks.
 */
const LOOK_EVERY = 400;
const EMPTY_LOOKS = 4;

/** One peer connection: sends the microphone, receives the agent. */
export class Peer {
  /**
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStream} microphone
   * @param {object} listener
   * @param {(candidate: RTCIceCandidate | null) => void} listener.onCandidate only after the answer was taken
   * @param {(track: MediaStreamTrack) => void} listener.onUp the first packets can flow; the track is the agent's voice
   * @param {() => void} listener.onLost no path between browser and server, or nothing comes through it any more
   */
  constructor(iceServers, microphone, { onCandidate, onUp, onLost }) {
    this._onCandidate = onCandidate;
    this._onUp = onUp;
    this._onLost = onLost;
    /** Candidates of either side that came before the answer. */
    /** @type {RTCIceCandidateInit[]} */ this._theirs = [];
    /** @type {(RTCIceCandidate | null)[] | null} */ this._ours = [];
    /** @type {MediaStreamTrack | null} */ this._track = null;
    this._packets = 0;
    this._empty = 0;
    this._look = 0;
    this._connection = new RTCPeerConnection({ iceServers });
    this._connection.onicecandidate = ({ candidate }) => this._found(candidate);
    this._connection.ontrack = ({ track }) => (this._track = track);
    this._connection.onconnectionstatechange = () => this._changed();
    this._connection.oniceconnectionstatechange = () => this._changed();
    for (const track of microphone.getAudioTracks()) this._connection.addTrack(track, microphone);
  }

  /** True once the server's answer was taken. */
  get answered() {
    return !this._ours;
  }

  /** The SDP of a new offer. Candidates follow through `onCandidate`. */
  async offer() {
    const offer = await this._connection.createOffer();
    await this._connection.setLocalDescription(offer);
    return String(offer.sdp);
  }

  /**
   * Takes the server's answer. Throws `CallError` when it is none.
   *
   * @param {string} sdp
   */
  async accept(sdp) {
    try {
      await this._connection.setRemoteDescription({ type: "answer", sdp });
    } catch (thrown) {
      throw new CallError("connection_failed", `the answer was not understood: ${thrown}`);
    }
    for (const candidate of this._theirs.splice(0)) await this.addCandidate(candidate);
    // Not before: a candidate must not overtake the offer on its way to the audio server.
    const found = this._ours || [];
    this._ours = null;
    for (const candidate of found) this._onCandidate(candidate);
  }

  /**
   * Takes a candidate of the server. One that cannot be used is no reason to give up: others may work.
   *
   * @param {RTCIceCandidateInit} candidate
   */
  async addCandidate(candidate) {
    if (!this._connection.remoteDescription) this._theirs.push(candidate);
    else if (candidate.candidate) await this._connection.addIceCandidate(candidate).catch(() => {});
  }

  close() {
    clearInterval(this._look);
    this._onUp = this._onLost = this._onCandidate = () => {};
    this._connection.close();
  }

  /** @param {RTCIceCandidate | null} candidate */
  _found(candidate) {
    if (this._ours) this._ours.push(candidate);
    else this._onCandidate(candidate);
  }

  _changed() {
    // Firefox had no connectionState before version 113.
    const { connectionState = this._connection.iceConnectionState } = this._connection;
    if (["failed", "disconnected", "closed"].includes(connectionState)) this._lost();
    if (connectionState !== "connected" && connectionState !== "completed") return;
    if (this._look || !this._track) return;
    this._look = window.setInterval(() => this._count(), LOOK_EVERY);
    this._onUp(this._track);
  }

  async _count() {
    const stats = await this._connection.getStats().catch(() => new Map());
    let packets = 0;
    stats.forEach((/** @type {any} */ entry) => (packets += entry.type === "inbound-rtp" ? entry.packetsReceived : 0));
    this._empty = packets === this._packets ? this._empty + 1 : 0;
    this._packets = packets;
    if (this._empty >= EMPTY_LOOKS) this._lost();
  }

  _lost() {
    clearInterval(this._look);
    this._onLost();
  }
}
