// @ts-check
const SVG = "http://www.w3.org/2000/svg";
/** Pairs of colours (top, bottom) on which white letters keep a contrast of 4.5. */
const COLOURS = [
  ["#1F6FFF", "#0047B8"],
  ["#6A4DF5", "#4527B5"],
  ["#00797C", "#00565C"],
  ["#B0357E", "#84205B"],
  ["#B4531A", "#8A3A0B"],
];

/**
 * The picture of an agent: its own where it has one, else its initials on a colour that stays the same for its name.
 *
 * @param {{name: string, avatar?: string}} agent
 * @returns {Element}
 */
export function avatar(agent) {
  // Only pictures of this server or inside the answer itself: no visitor is shown to a third party.
  if (agent.avatar && /^(\/(?!\/)|data:image\/)/.test(agent.avatar)) {
    const image = document.createElement("img");
    image.alt = "";
    image.src = agent.avatar;
    return image;
  }
  const picture = draw("svg", { viewBox: "0 0 96 96" });
  const [top, bottom] = COLOURS[sum(agent.name) % COLOURS.length];
  const gradient = draw("linearGradient", { id: "avatar-colour", x1: "0", y1: "0", x2: "0", y2: "1" });
  gradient.append(draw("stop", { offset: "0", "stop-color": top }), draw("stop", { offset: "1", "stop-color": bottom }));
  const letters = draw("text", { x: "48", y: "60", "text-anchor": "middle", "font-size": "34", fill: "#fff" });
  letters.textContent = initials(agent.name);
  picture.append(gradient, draw("circle", { cx: "48", cy: "48", r: "48", fill: "url(#avatar-colour)" }), letters);
  return picture;
}

/**
 * First letters of the first and the last word, whole characters.
 *
 * @param {string} name
 */
export function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return chosen.map((word) => Array.from(word)[0].toUpperCase()).join("") || "?";
}

/** @param {string} name */
function sum(name) {
  return Array.from(name).reduce((total, letter) => total + Number(letter.codePointAt(0)), 0);
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
