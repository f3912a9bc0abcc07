/** The parts of a `text/event-stream`, as the HTML standard splits them (section 9.2.6). */

/**
 * Data of events out of pieces of a stream that are cut anywhere. Comments and other fields than
 * `data` carry nothing here; an event that the stream's end cuts off is dropped, as the standard
 * asks.
 */
export class EventParser {
  #rest = "";
  #data: string[] = [];

  /** The data of the events that this piece completes. */
  push(piece: string): string[] {
    const found: string[] = [];
    const text = this.#rest + piece;
    // A carriage return at the end may be the first half of a line's end.
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + text.slice(whole.length);
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) found.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      } else if (line === "data") {
        this.#data.push("");
      }
    }
    return found;
  }
}

/** Events of a response as they come, each parsed as JSON. */
export async function* events<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one piece comes after the other
      const { done, value } = await reader.read();
      if (done) return;
      for (const data of parser.push(decoder.decode(value, { stream: true }))) {
        yield JSON.parse(data) as T;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
