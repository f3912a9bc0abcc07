/** The same edits from Python. */
import type { SteerState } from "./state";

const quoted = (text: string) => JSON.stringify(text);

/** A script that steers as the page does; paths: the folder of each SAE. */
export function pythonOf(
  { prompt, edited, tokens, temperature, seed, where }: SteerState,
  model: string,
  paths: ReadonlyMap<string, string>,
  maxima: readonly (number | null)[],
): string {
  const names = [...new Set(edited.map(({ sae }) => sae))];
  const variables = new Map(names.map((name, i) => [name, names.length > 1 ? `sae_${i + 1}` : "sae"]));
  const edits = edited.map(({ sae, feature, method, value }, row) => {
    const amount = value ?? (method === "scale" ? 2 : method === "orthogonal" ? 0 : (maxima[row] ?? 1));
    const positions = where === "all" ? "" : `, positions=${quoted(where)}`;
    return `    [Edit(${variables.get(sae)}, ${feature}, ${method}=${amount}${positions})],`;
  });
  return [
    "from lmsaes import SAE, Edit, LanguageModel, steer",
    "",
    `lm = LanguageModel.load(${quoted(model)})`,
    ...names.map((name) => `${variables.get(name)} = SAE.load(${quoted(paths.get(name) ?? name)})`),
    "found = steer(",
    "    lm,",
    `    ${quoted(prompt)},`,
    "    [",
    ...edits.map((line) => `    ${line}`),
    "    ],",
    `    tokens=${tokens},`,
    `    temperature=${temperature},`,
    `    seed=${seed},`,
    ")",
    "print(found.default.text)",
    "for edited in found.sets:",
    "    print(edited.text)",
    "",
  ].join("\n");
}
