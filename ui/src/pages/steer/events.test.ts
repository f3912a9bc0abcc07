import { expect, test } from "vitest";
import { EventParser, events } from "./events";

test("events come whole wherever the stream is cut", () => {
  const stream = ': \n\ndata: {"a":1}\n\ndata: {"b":"x: y"}\r\n\r\ndata: first\ndata:second\n\n';
  const expected = ['{"a":1}', '{"b":"x: y"}', "first\nsecond"];
  for (let size = 1; size <= stream.length; size++) {
    const parser = new EventParser();
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += size) {
      found.push(...parser.push(stream.slice(at, at + size)));
    }
    expect(found).toEqual(expected);
  }
});

test("what the end cuts off is no event", () => {
  const parser = new EventParser();
  expect(parser.push("data: whole\n\ndata: cut")).toEqual(["whole"]);
  expect(parser.push("\n")).toEqual([]);
});

test("a character that is cut in two comes whole", async () => {
  const bytes = new TextEncoder().encode('data: "日本"\n\n');
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.slice(0, 8));
      controller.enqueue(bytes.slice(8));
      controller.close();
    },
  });
  const found = [];
  for await (const event of events<string>(body)) found.push(event);
  expect(found).toEqual(["日本"]);
});

test("a reader that stops cancels the stream", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const event of events<number>(body)) {
    expect(event).toBe(1);
    break;
  }
  expect(cancelled).toBe(true);
});
