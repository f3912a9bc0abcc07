/** Which words of a completion the default doesn't have. */

export interface Word {
  text: string;
  isNew: boolean;
}

/** A text cut into words, each with the white space before it; joined they are the text. */
export function words(text: string): string[] {
  return text.match(/\s*\S+|\s+$/gu) ?? [];
}

/**
 * The words of `text`, marked where they aren't part of a longest common subsequence with
 * `base`. White space doesn't tell words apart.
 */
export function changes(base: string, text: string): Word[] {
  const from = words(base).map((word) => word.trim());
  const to = words(text);
  const plain = to.map((word) => word.trim());
  const width = to.length + 1;
  // lengths[i * width + j]: of the longest common subsequence of from[i…] and plain[j…]
  const lengths = new Uint32Array((from.length + 1) * width);
  for (let i = from.length - 1; i >= 0; i--) {
    for (let j = to.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        from[i] === plain[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  const isNew = to.map(() => true);
  for (let i = 0, j = 0; i < from.length && j < to.length; ) {
    if (from[i] === plain[j]) {
      isNew[j] = false;
      i++;
      j++;
    } else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) {
      i++;
    } else {
      j++;
    }
  }
  return to.map((word, j) => ({ text: word, isNew: (isNew[j] ?? false) && plain[j] !== "" }));
}
