// @ts-check
/**
 * Why a call could not be made or broke: one typed code each, so that a page can choose its own sentence.
 *
 * @typedef {"unsupported_browser" | "insecure_origin"
 *   | "microphone_denied" | "microphone_missing" | "microphone_busy"
 *   | "connection_failed" | "connection_lost"
 *   | "at_capacity" | "rate_limited" | "unauthorized" | "agent_failed"
 *   | "server_gone" | "server_error"} ErrorCode
 */

export class CallError extends Error {
  /**
   * @param {ErrorCode} code what a page tests
   * @param {string} detail one sentence for the person who reads the log; never shown to a visitor
   */
  constructor(code, detail) {
    super(detail);
    this.name = "CallError";
    this.code = code;
  }
}

/**
 * Any thrown value as a `CallError`; what is not ours is a `server_error`.
 *
 * @param {unknown} thrown
 */
export function asCallError(thrown) {
  return thrown instanceof CallError ? thrown : new CallError("server_error", String(thrown));
}

/** Reason words of the server, by their beginning, the longer one first. @type {ReadonlyArray<[string, ErrorCode]>} */
const REASONS = [
  ["at_capacity", "at_capacity"],
  ["rate_limited", "rate_limited"],
  ["token_", "unauthorized"],
  ["origin_", "unauthorized"],
  ["media_", "connection_failed"],
  ["dtls_", "connection_failed"],
  ["agent_", "agent_failed"],
  ["provider_", "agent_failed"],
];

/** The gateway's codes, for a server that gives no reason we know. @type {Readonly<Record<string, ErrorCode>>} */
const CODES = {
  UNAUTHORIZED: "unauthorized",
  MEDIA_BRIDGE_FAILURE: "connection_failed",
  AGENT_FAILURE: "agent_failed",
};

/**
 * What the server said went wrong, as a `CallError`.
 *
 * @param {{reason?: unknown, code?: unknown, message?: unknown}} said
 */
export function fromServer(said) {
  const reason = String(said.reason || "");
  const known = REASONS.find(([start]) => reason.startsWith(start));
  const code = known ? known[1] : CODES[String(said.code)] || "server_error";
  return new CallError(code, String(said.message || reason || "the server gave no reason"));
}

/**
 * An HTTP answer that is not 2xx, with its problem details (RFC 9457) where it has some, as a `CallError`.
 *
 * @param {Response} response
 */
export async function fromResponse(response) {
  const problem = await response.json().catch(() => null);
  const said = problem && typeof problem === "object" ? problem : {};
  const error = fromServer({ reason: said.reason || said.code, message: said.detail || said.title });
  if (error.code !== "server_error") return error;
  /** @type {Readonly<Record<number, ErrorCode>>} */
  const byStatus = { 401: "unauthorized", 403: "unauthorized", 429: "rate_limited" };
  return new CallError(byStatus[response.status] || "server_error", `HTTP ${response.status}: ${error.message}`);
}
