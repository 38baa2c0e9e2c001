// @ts-check
import { CallError } from "./errors.js";

/**
 * A frame as it travels, JSON in a text message.
 * @typedef {{type: string, sessionId?: string, data?: any}} Frame
 */

/** The socket to the gateway: frames out, frames in. It holds no rule about calls. */
export class Signaling {
  /**
   * @param {string} url `ws:` or `wss:`, see `socketUrl`
   * @param {{onFrame: (frame: Frame) => void, onGone: () => void}} listener `onGone`: the socket closed, whoever closed
   *   it; not after `drop()`
   */
  constructor(url, { onFrame, onGone }) {
    this.sessionId = "";
    /** Candidates found before the answer named the session. @type {unknown[]} */
    this._waiting = [];
    this._onGone = onGone;
    this._socket = new WebSocket(url);
    /** Resolves when the socket is open; rejects with `server_gone`. @type {Promise<void>} */
    this.opened = new Promise((resolve, reject) => {
      this._socket.onopen = () => resolve();
      this._socket.onclose = () => {
        reject(new CallError("server_gone", "the signaling socket closed"));
        this._onGone();
      };
    });
    // Whoever awaits it gets the error; a call that was ended meanwhile does not await it any more.
    this.opened.catch(() => {});
    this._socket.onmessage = (message) => {
      const frame = parse(message.data);
      if (!frame) return;
      if (frame.type === "answer") this._named(String(frame.sessionId || ""));
      onFrame(frame);
    };
  }

  /**
   * The first frame of a call.
   *
   * @param {string} sdp
   * @param {{authToken: string, callSid: string, mode?: string}} fields
   */
  offer(sdp, fields) {
    this._send({ type: "offer", sessionId: "", ...fields, events: true, data: { type: "offer", sdp } });
  }

  /**
   * A candidate found here, or `null` at their end. Before the answer there is no session to send it to: it waits.
   *
   * @param {RTCIceCandidate | null} candidate
   */
  candidate(candidate) {
    const { candidate: line, sdpMid, sdpMLineIndex } = candidate || { candidate: "", sdpMid: null, sdpMLineIndex: null };
    const data = { candidate: line, sdpMid, sdpMLineIndex };
    if (this.sessionId) this._send({ type: "ice-candidate", sessionId: this.sessionId, data });
    else this._waiting.push(data);
  }

  /** Ends the call gracefully; the server answers with the event `ended`. */
  close() {
    this._send({ type: "close", sessionId: this.sessionId });
  }

  /** Closes the socket without another word. */
  drop() {
    this._onGone = () => {};
    this._socket.onmessage = null;
    this._socket.close(1000);
  }

  /** @param {string} sessionId */
  _named(sessionId) {
    this.sessionId = sessionId;
    for (const data of this._waiting.splice(0)) this._send({ type: "ice-candidate", sessionId, data });
  }

  /** @param {object} frame */
  _send(frame) {
    if (this._socket.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(frame));
  }
}

/**
 * A frame, or `null` for what is none: a newer server may say things this page does not know.
 *
 * @param {unknown} text
 * @returns {Frame | null}
 */
function parse(text) {
  try {
    const frame = JSON.parse(String(text));
    return frame && typeof frame === "object" && typeof frame.type === "string" ? frame : null;
  } catch (_) {
    return null;
  }
}

/**
 * The address as a WebSocket's: relative to the page, and `wss:` where the page came over `https:`, since a browser
 * allows no other there.
 *
 * @param {string} address
 */
export function socketUrl(address) {
  const url = new URL(address, location.href);
  const secure = location.protocol === "https:" || url.protocol === "https:" || url.protocol === "wss:";
  url.protocol = secure ? "wss:" : "ws:";
  return url.href;
}
