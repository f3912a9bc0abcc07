/** The commands that pages show, one a line; a test runs each through the command line's parser. */
import type { About } from "./api/client";

export const SERVE = "lmsaes serve";
/** Own text and steering ask the model of the SAEs' records. */
export const SERVE_WITH_MODEL = "lmsaes serve --model auto";
export const SERVE_OTHER = "lmsaes serve --db mongodb://HOST/NAME";
export const CACHE =
  "lmsaes cache --model gpt2 --dataset Skylion007/openwebtext --streaming --hook blocks.8.hook_resid_pre --tokens 100M --out caches/gpt2-8";
export const TRAIN = "lmsaes train --cache caches/gpt2-8 --hook blocks.8.hook_resid_pre --out runs/gpt2-8";
export const ANALYZE = "lmsaes analyze runs/gpt2-8 --cache caches/gpt2-8";
/** With a database and port of its own. */
export const DEMO = "lmsaes demo";
/** With transcoders and a graph. */
export const DEMO_TRACE = "lmsaes demo --trace";
/** From a model to a graph over transcoders of its MLPs. */
export const CACHE_MLPS =
  "lmsaes cache --model gpt2 --dataset Skylion007/openwebtext --streaming --transcoders --tokens 20M --out caches/mlps";
export const TRAIN_TRANSCODERS = "lmsaes train --cache caches/mlps --transcoders --out runs/transcoders";
export const ANALYZE_TRANSCODERS = "lmsaes analyze runs/transcoders --cache caches/mlps";
export const TRACE = "lmsaes trace runs/transcoders --prompt 'The piano was in the' --verify 50 --name piano";

/** A command such that it uses the database that this page shows. */
export function withDatabase(command: string, { database_uri, database_folder }: About): string {
  if (database_uri !== null) return `${command} --db ${quoted(database_uri)}`;
  if (database_folder !== null) return `LMSAES_DB_FOLDER=${quoted(database_folder)} ${command}`;
  return command;
}

/** A command with other folders and another hook than the example's. */
export function withPlaces(command: string, places: { cache?: string | undefined; run?: string | undefined; hook?: string | undefined }): string {
  return command
    .replace("caches/gpt2-8", quoted(places.cache ?? "caches/gpt2-8"))
    .replace("runs/gpt2-8", quoted(places.run ?? "runs/gpt2-8"))
    .replace("blocks.8.hook_resid_pre", quoted(places.hook ?? "blocks.8.hook_resid_pre"));
}

/** One word of a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
