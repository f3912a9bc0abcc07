/** The commands that pages show, one a line; a test runs each through the command line's parser. */
import type { About } from "./api/client";

export const SERVE = "lmsaes serve";
export const SERVE_MODEL = "lmsaes serve --model auto";
export const ANALYZE = "lmsaes analyze RUN --cache CACHE";
/** The demo serves a database of its own, which this page doesn't show, at this page's port. */
export const DEMO = "lmsaes demo --no-serve";
export const ANALYZE_DEMO = "lmsaes analyze lmsaes-demo/saes --cache lmsaes-demo/cache";

/** A command such that it uses the database that this page shows. */
export function withDatabase(command: string, { database_uri, database_folder }: About): string {
  if (database_uri !== null) return `${command} --db ${quoted(database_uri)}`;
  if (database_folder !== null) return `LMSAES_DB_FOLDER=${quoted(database_folder)} ${command}`;
  return command;
}

/** One word of a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
