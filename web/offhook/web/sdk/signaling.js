// @ts-check
import { CallError } from "./errors.js";

/**
 * A frame as it travels, JSON in a text message.
 * @typedef {{type: string, sessionId?: string, data?: any}} Frame
 */

/** One socket to the gateway: frames out, frames in. It holds no rule about calls. */
export class Signaling {
  /**
   * @param {string} url `ws:` or `wss:`, see `socketUrl`
   * @param {{onFrame: (frame: Frame) => void, onGone: (code: number) => void}} listener `onGone`: the socket closed,
   *   whoever closed it, with its close code; not after `drop()`
   */
  constructor(url, { onFrame, onGone }) {
    this._onGone = onGone;
    this._socket = new WebSocket(url);
    /** Resolves when the socket is open; rejects with `server_gone`. @type {Promise<void>} */
    this.opened = new Promise((resolve, reject) => {
      this._socket.onopen = () => resolve();
      this._socket.onclose = ({ code }) => {
        reject(new CallError("server_gone", `the signaling socket closed (${code})`));
        this._onGone(code);
      };
    });
    // Whoever awaits it gets the error; a call that was ended meanwhile does not await it any more.
    this.opened.catch(() => {});
    this._socket.onmessage = (message) => {
      const frame = parse(message.data);
      if (frame) onFrame(frame);
    };
  }

  /**
   * The offer of a new call (`sessionId` empty), or of new media for a call there is.
   *
   * @param {string} sdp
   * @param {{sessionId: string, authToken: string, callSid?: string, mode?: string}} fields
   */
  offer(sdp, fields) {
    this._send({ type: "offer", ...fields, events: true, data: { type: "offer", sdp } });
  }

  /**
   * Asks to come back to a call; `seq` is the last event that is known here.
   *
   * @param {string} sessionId
   * @param {string} authToken the one that came with the answer or the last `resumed`
   * @param {number} seq
   */
  resume(sessionId, authToken, seq) {
    this._send({ type: "resume", sessionId, authToken, data: { seq } });
  }

  /**
   * A candidate found here, or `null` at their end.
   *
   * @param {string} sessionId
   * @param {RTCIceCandidate | null} candidate
   */
  candidate(sessionId, candidate) {
    const { candidate: line, sdpMid, sdpMLineIndex } = candidate || { candidate: "", sdpMid: null, sdpMLineIndex: null };
    this._send({ type: "ice-candidate", sessionId, data: { candidate: line, sdpMid, sdpMLineIndex } });
  }

  /** Ends the call gracefully; the server answers with the event `ended`. @param {string} sessionId */
  close(sessionId) {
    this._send({ type: "close", sessionId });
  }

  /** Closes the socket without another word. */
  drop() {
    this._onGone = () => {};
    this._socket.onmessage = null;
    this._socket.close(1000);
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
