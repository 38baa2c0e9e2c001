// @ts-check
import { CallError } from "./errors.js";

/**
 * Why this browser on this page cannot call at all, or `null` when it can. Ask before showing a button.
 *
 * @returns {CallError | null}
 */
export function whyImpossible() {
  // getUserMedia is hidden on an insecure origin, so this question comes first (Media Capture and Streams, 10.1).
  if (window.isSecureContext === false) return new CallError("insecure_origin", "the page is not a secure context");
  // Any of them may be missing, whatever today's types say.
  const { navigator, RTCPeerConnection, AudioContext, MediaStream } = /** @type {Partial<typeof globalThis>} */ (window);
  const devices = /** @type {Partial<MediaDevices> | undefined} */ (navigator && navigator.mediaDevices);
  const able = devices && devices.getUserMedia && RTCPeerConnection && AudioContext && MediaStream;
  return able ? null : new CallError("unsupported_browser", "getUserMedia, WebRTC or Web Audio is missing");
}

/** DOMException names of getUserMedia. @type {Readonly<Record<string, import("./errors.js").ErrorCode>>} */
const REFUSALS = {
  NotAllowedError: "microphone_denied",
  SecurityError: "microphone_denied",
  NotFoundError: "microphone_missing",
  OverconstrainedError: "microphone_missing",
  NotReadableError: "microphone_busy",
  AbortError: "microphone_busy",
};

/**
 * Opens the microphone. Call it inside the visitor's gesture. Throws `CallError`.
 *
 * @returns {Promise<MediaStream>} one audio track
 */
export async function openMicrophone() {
  const impossible = whyImpossible();
  if (impossible) throw impossible;
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (thrown) {
    const { name, message } = /** @type {DOMException} */ (thrown);
    throw new CallError(REFUSALS[name] || "microphone_busy", `${name}: ${message}`);
  }
}
