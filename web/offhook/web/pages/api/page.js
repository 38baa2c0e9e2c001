// @ts-check
// The API, as its own OpenAPI document describes it.

/** @typedef {Record<string, any>} Json */

/**
 * An element with text and children.
 *
 * @param {string} name
 * @param {{ text?: string, class?: string, id?: string, href?: string }} [facts]
 * @param {(Node | string)[]} children
 */
function element(name, facts = {}, ...children) {
  const made = document.createElement(name);
  if (facts.text !== undefined) made.textContent = facts.text;
  if (facts.class !== undefined) made.className = facts.class;
  if (facts.id !== undefined) made.id = facts.id;
  if (facts.href !== undefined) made.setAttribute("href", facts.href);
  made.append(...children);
  return made;
}

/**
 * A schema in the words of a person: `string`, `Call[]`, `integer or null`.
 *
 * @param {Json} schema
 * @returns {string}
 */
function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ word) => JSON.stringify(word)).join(" | ");
  if (schema.type === "array") return `${typeName(schema.items || (schema.prefixItems || [{}])[0])}[]`;
  if (schema.type === "object" && schema.additionalProperties) {
    return `map of ${typeName(schema.additionalProperties)}`;
  }
  return schema.type || "any";
}

/**
 * @param {string} title
 * @param {{ name: string, schema: Json, required: boolean }[]} rows
 */
function table(title, rows) {
  const body = rows.map(({ name, schema, required }) =>
    element(
      "tr",
      {},
      element("td", {}, element("code", { text: name })),
      element("td", { text: typeName(schema) }),
      element("td", { class: "quiet", text: required ? "required" : limits(schema) }),
    ),
  );
  return element("section", {}, element("h4", { text: title }), element("table", {}, ...body));
}

/** @param {Json} schema */
function limits(schema) {
  const words = [];
  if (schema.default !== undefined) words.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.minimum !== undefined) words.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) words.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) words.push(`at most ${schema.maxLength} characters`);
  return words.join(", ");
}

/**
 * @param {string} title
 * @param {Json | undefined} content
 * @param {Json} schemas
 */
function shape(title, content, schemas) {
  const media = content && content["application/json"];
  const schema = media && media.schema;
  if (!schema) return [];
  const name = typeName(schema);
  const known = schemas[name];
  if (!known || !known.properties) return [element("p", { text: `${title}: ${name}` })];
  const required = new Set(known.required || []);
  const rows = Object.entries(known.properties).map(([field, part]) => ({
    name: field,
    schema: part,
    required: required.has(field),
  }));
  return [table(`${title}: ${name}`, rows)];
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Json} operation
 */
function example(method, path, operation) {
  const lines = [`curl -X ${method} "$OFFHOOK${path}" \\`, '  -H "Authorization: Bearer $KEY"'];
  if (operation.requestBody) {
    lines[1] += " \\";
    lines.push('  -H "Content-Type: application/json" \\', "  -d '{…}'");
  }
  return element("pre", { text: lines.join("\n") });
}

/** @param {Json} api */
function show(api) {
  const about = /** @type {HTMLElement} */ (document.querySelector("#about"));
  const contents = /** @type {HTMLElement} */ (document.querySelector("#contents"));
  const operations = /** @type {HTMLElement} */ (document.querySelector("#operations"));
  about.textContent = api.info.description.replaceAll("`", "");
  const schemas = api.components.schemas;
  /** @type {Map<string, HTMLElement>} */
  const sections = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      let section = sections.get(tag);
      if (section === undefined) {
        section = element("section", { id: tag }, element("h2", { text: tag }));
        sections.set(tag, section);
        contents.append(element("a", { text: tag, href: `#${tag}` }));
        operations.append(section);
      }
      const success = /** @type {Json} */ (Object.values(operation.responses)[0]);
      section.append(
        element(
          "details",
          { id: operation.operationId },
          element(
            "summary",
            {},
            element("span", { class: "method", text: method.toUpperCase() }),
            element("code", { text: path }),
            " ",
            element("span", { class: "quiet", text: operation.summary }),
          ),
          ...operation.description.split("\n\n").map((/** @type {string} */ text) => element("p", { text })),
          ...(operation.parameters.length ? [table("Parameters", operation.parameters)] : []),
          ...shape("Body", operation.requestBody && operation.requestBody.content, schemas),
          ...shape("Answer", success.content, schemas),
          example(method.toUpperCase(), path, operation),
        ),
      );
    }
  }
}

async function load() {
  const answer = await fetch("/v1/openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  show(await answer.json());
}

load().catch((error) => {
  const about = /** @type {HTMLElement} */ (document.querySelector("#about"));
  about.textContent = `The document cannot be loaded (${error}). Reload the page in a moment.`;
});
