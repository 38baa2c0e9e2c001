// @ts-check
/** Moments and lengths of time as people write them. */

const whole = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const exact = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const short = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** @param {number} seconds since the epoch */
export function moment(seconds) {
  return whole.format(new Date(seconds * 1000));
}

/** Without the year. @param {number} seconds since the epoch */
export function exactMoment(seconds) {
  return exact.format(new Date(seconds * 1000));
}

/** @param {number} seconds since the epoch */
export function shortMoment(seconds) {
  return short.format(new Date(seconds * 1000));
}

/**
 * `0:07`, `12:34`, `1:02:03`.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const rounded = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(rounded / 3600);
  const minutes = Math.floor(rounded / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(rounded % 60)}`;
}

/**
 * `80 ms`, `1.4 s`, `12 s`, `3 min 7 s`.
 *
 * @param {number} seconds
 */
export function span(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} s`;
  const [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${rounded % 60} s`;
}
