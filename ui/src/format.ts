/** Numbers as the viewer writes them: figures that line up, thin spaces between thousands. */

const THIN = "\u202f";
/** What was not measured. */
const NONE = "–";

/** 12 288 */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, THIN);
}

/** 2.9 M */
export function compact(value: number | null): string {
  if (value === null) return NONE;
  for (const [unit, size] of [
    ["B", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    if (value >= size) return `${significant(value / size, 3)}${THIN}${unit}`;
  }
  return significant(value, 3);
}

/** 1 in 260, of a share; "never" for 0 */
export function oneIn(density: number): string {
  if (density <= 0) return "never";
  return density > 0.5 ? percent(density) : `1 in ${count(Number((1 / density).toPrecision(3)))}`;
}

/** .42, for columns of shares and cosines; −.07 */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const rounded = value.toFixed(2).replace(/^(-?)0\./, "$1.");
  return rounded.replace("-", "−");
}

/** Any number in at most three figures: 955, 5.63, .0421 as 0.0421, and 3.1·10⁻⁵ below .001 */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e6 || size < 1e-3) {
    const exponent = Math.floor(Math.log10(size));
    const mantissa = (value / 10 ** exponent).toFixed(1).replace(/\.0$/, "").replace("-", "−");
    return `${mantissa}·${powerOfTen(exponent)}`;
  }
  if (size >= 1000) return (value < 0 ? "−" : "") + count(size);
  return significant(value, 3).replace("-", "−");
}

/** 31.5 */
export function decimal(value: number | null): string {
  return value === null ? NONE : value.toFixed(1);
}

/** .121 */
export function fraction(value: number | null): string {
  if (value === null) return NONE;
  return value.toFixed(3).replace(/^0\./, ".");
}

/** 0.42 % */
export function percent(part: number | null | undefined): string {
  if (part === null || part === undefined || !Number.isFinite(part)) return NONE;
  if (part > 0 && part < 1e-5) return `${figure(part * 100)}${THIN}%`;
  return `${significant(part * 100, 2)}${THIN}%`;
}

/**
 * 31.2: three significant digits, which is what half precision holds. Beside others of up to
 * `largest` it gets their decimals, so that a column lines up.
 */
export function activation(value: number | null, largest = value ?? 0): string {
  if (value === null) return NONE;
  return value === 0 ? "0" : value.toFixed(decimals(largest, 3));
}

/** −1.48 */
export function weight(value: number): string {
  return value.toFixed(2).replace("-", "−");
}

/** 25 November 2026 */
export function day(iso: string): string {
  return new Date(iso).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
  });
}

/** A model or text by its name; of one that lies in a folder, the end of the path. */
export function shortName(name: string): string {
  return name.startsWith("/") ? name.split("/").slice(-2).join("/") : name;
}

/** 10⁻³ */
export function powerOfTen(exponent: number): string {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = [...Math.abs(exponent).toString()].map((digit) => digits[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${raised}`;
}

function significant(value: number, digits: number): string {
  return value === 0 ? "0" : value.toFixed(decimals(value, digits));
}

function decimals(value: number, digits: number): number {
  const whole = value === 0 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
  return Math.min(Math.max(digits - whole, 0), 8);
}
