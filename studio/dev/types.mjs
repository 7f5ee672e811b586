/** Writes `src/protocol.ts` from the schema that the server's messages have: `npm run types`. */

import { readFileSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

const SCHEMA = "protocol.schema.json";
const TYPES = "src/protocol.ts";

/** The text of `src/protocol.ts`. */
export function protocolTypes() {
  const { $defs, client, event } = JSON.parse(readFileSync(SCHEMA, "utf8"));
  const said = namesFrom(event, $defs);
  for (const [name, definition] of Object.entries($defs)) tidy(definition, said.has(name));
  const everything = {
    $defs,
    title: "Protocol",
    description: "Version 1: everything that a page and the server say to each other as JSON.",
    anyOf: [union("ClientMessage", client), union("ServerEvent", event)],
  };
  return compile(everything, "Protocol", { additionalProperties: false });
}

const union = (title, { oneOf }) => ({ title, anyOf: oneOf });

/** Every definition that is reached from a schema. */
function namesFrom(schema, definitions, found = new Set()) {
  for (const [, name] of JSON.stringify(schema).matchAll(/#\/\$defs\/(\w+)"/g)) {
    if (found.has(name)) continue;
    found.add(name);
    namesFrom(definitions[name], definitions, found);
  }
  return found;
}

/**
 * Says in the compiler's words what Pydantic means: fields have no types of their own names, `type` is always
 * there, the server leaves out nothing that has a value, and a tuple is a list of its items.
 */
function tidy(definition, isSaid) {
  const fields = Object.entries(definition.properties ?? {});
  for (const [, field] of fields) {
    delete field.title;
    tuple(field);
  }
  const always = ([, { const: fixed, default: value }]) => fixed || (isSaid && (value ?? null) !== null);
  const required = new Set([...(definition.required ?? []), ...fields.filter(always).map(([name]) => name)]);
  if (fields.length > 0) definition.required = [...required];
}

function tuple(schema) {
  if (schema.prefixItems) {
    schema.items = schema.prefixItems;
    delete schema.prefixItems;
  } else if (schema.items) tuple(schema.items);
}

if (argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TYPES, await protocolTypes());
