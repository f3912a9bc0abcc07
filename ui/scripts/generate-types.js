// Writes src/api/schema.ts from the server's OpenAPI; with --check only compares.
// The server is asked through Python, not over HTTP: PYTHON, or the repository's .venv.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTypeScript, { astToString } from "openapi-typescript";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../src/api/schema.ts");
const inRepository = here("../../.venv/bin/python");
const python = process.env.PYTHON ?? (existsSync(inRepository) ? inRepository : "python3");

const printSchema = "import json; from lmsaes.server.app import app; print(json.dumps(app.openapi()))";
const schema = JSON.parse(execFileSync(python, ["-c", printSchema], { encoding: "utf8" }));
const types =
  "// Generated from the server's OpenAPI by `npm run generate`. Not edited by hand.\n\n" +
  astToString(await openapiTypeScript(schema));

if (!process.argv.includes("--check")) {
  writeFileSync(target, types);
} else if (!existsSync(target) || readFileSync(target, "utf8") !== types) {
  console.error("error: src/api/schema.ts is not what the server's OpenAPI says: npm run generate");
  process.exit(1);
}
