// @ts-check
/** The REST API, asked with the key of whoever is signed in. */

/** The server, or the way to it, said no. */
export class Problem extends Error {
  /**
   * @param {string} code of the problem document; `server_gone` where there was no answer
   * @param {string} message
   * @param {number} status 0 where there was no answer
   */
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/**
 * Ask the server. Throws `Problem`.
 *
 * @param {string} path
 * @param {RequestInit} request
 */
export async function ask(path, request) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "omit", ...request });
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    throw new Problem("server_gone", String(thrown), 0);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Problem(String(told.code || "unknown"), String(told.detail || response.statusText), response.status);
}

/**
 * Whether the same question may be answered another time: the server is away, or has too much to do.
 *
 * @param {unknown} thrown
 */
export function mayPass(thrown) {
  return thrown instanceof Problem && (thrown.status === 0 || thrown.status === 429 || thrown.status >= 500);
}

/** What one key may ask. */
export class Api {
  /** @param {string} key */
  constructor(key) {
    this._authorization = `Bearer ${key}`;
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} [query] empty values are left out
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async get(path, query = {}, signal) {
    return (await this.fetch(path, query, signal)).json();
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} [query]
   * @param {AbortSignal} [signal]
   */
  fetch(path, query = {}, signal) {
    const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
    const asked = parameters.toString();
    return ask(asked ? `${path}?${asked}` : path, { headers: { Authorization: this._authorization }, signal });
  }

  /**
   * @param {string} path
   * @param {object} [body]
   * @param {string} [method]
   * @returns {Promise<any>}
   */
  async send(path, body, method = "POST") {
    /** @type {Record<string, string>} */
    const headers = { Authorization: this._authorization };
    if (body) headers["Content-Type"] = "application/json";
    const response = await ask(path, { method, headers, body: body ? JSON.stringify(body) : undefined });
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  }
}
