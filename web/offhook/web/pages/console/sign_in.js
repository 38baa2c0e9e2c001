// @ts-check
/** Where nobody is signed in: ask for a key. */
import { field, make, refill } from "./dom.js";
import { enterByKey } from "./session.js";

/**
 * @param {object} given
 * @param {HTMLElement} given.place
 * @param {import("./texts.js").Texts} given.texts
 * @param {(thrown: unknown) => void} given.fail
 * @param {() => void} given.done
 */
export function showSignIn({ place, texts, fail, done }) {
  const words = texts.signIn;
  const key = make("input", {
    attributes: { id: "key", type: "password", required: true, autocomplete: "off", spellcheck: "false" },
  });
  const button = make("button", { class: "strong", text: words.act, attributes: { type: "submit" } });
  const form = make("form", { class: "card sign-in" });
  form.append(
    make("h1", { text: words.title }),
    make("p", { class: "quiet", text: words.lead }),
    field(words.key, key, words.hint),
    button,
    make("p", { class: "quiet other" }, `${words.link} `, make("code", { text: words.command })),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await enterByKey(key.value.trim());
      done();
    } catch (thrown) {
      fail(thrown);
      key.focus();
      key.select();
    }
    button.disabled = false;
  });
  refill(place, form);
  key.focus();
}
