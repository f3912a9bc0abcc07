import type { About } from "../../api/client";
import { SERVE_WITH_MODEL, withDatabase } from "../../commands";
import { Empty } from "../States";

/** Where this server asks no model: what would. */
export function ModelNote({ about, what }: { about: About | undefined; what: string }) {
  if (about === undefined || about.asks_model) return null;
  return (
    <Empty command={withDatabase(SERVE_WITH_MODEL, about)}>
      {what} asks the language model, and this server was started without one. Start it with the
      model of the SAEs' records, or name its folder:
    </Empty>
  );
}
