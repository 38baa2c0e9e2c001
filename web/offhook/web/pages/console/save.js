// @ts-check
/** Files handed to the visitor. */
import { make } from "./dom.js";

/**
 * @param {string} name
 * @param {Blob} content
 */
export function saveFile(name, content) {
  const address = URL.createObjectURL(content);
  make("a", { attributes: { href: address, download: name } }).click();
  URL.revokeObjectURL(address);
}
