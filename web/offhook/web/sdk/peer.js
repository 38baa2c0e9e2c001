// @ts-check
import { CallError } from "./errors.js";

/** The peer connection: sends the microphone, receives the agent. */
export class Peer {
  /**
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStream} microphone
   * @param {object} listener
   * @param {(candidate: RTCIceCandidate | null) => void} listener.onCandidate
   * @param {(track: MediaStreamTrack) => void} listener.onTrack
   * @param {() => void} listener.onFailed no path between browser and server, or it was lost for good
   */
  constructor(iceServers, microphone, { onCandidate, onTrack, onFailed }) {
    /** Candidates that came before the answer. @type {RTCIceCandidateInit[]} */
    this._early = [];
    this._connection = new RTCPeerConnection({ iceServers });
    this._connection.onicecandidate = (event) => onCandidate(event.candidate);
    this._connection.ontrack = (event) => onTrack(event.track);
    const failed = () => {
      // Firefox had no connectionState before version 113.
      const { connectionState, iceConnectionState } = this._connection;
      if (connectionState === "failed" || iceConnectionState === "failed") onFailed();
    };
    this._connection.onconnectionstatechange = failed;
    this._connection.oniceconnectionstatechange = failed;
    for (const track of microphone.getAudioTracks()) this._connection.addTrack(track, microphone);
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
    for (const candidate of this._early.splice(0)) await this.addCandidate(candidate);
  }

  /**
   * Takes a candidate of the server. One that cannot be used is no reason to give up: others may work.
   *
   * @param {RTCIceCandidateInit} candidate
   */
  async addCandidate(candidate) {
    if (!this._connection.remoteDescription) this._early.push(candidate);
    else if (candidate.candidate) await this._connection.addIceCandidate(candidate).catch(() => {});
  }

  close() {
    this._connection.onconnectionstatechange = null;
    this._connection.oniceconnectionstatechange = null;
    this._connection.close();
  }
}
