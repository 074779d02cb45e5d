/** Batches log lines as bytes, so that one write contains many of them. */

export interface GatherOptions {
  /** The maximum size of a batch. A longer line is a batch of its own. */
  readonly bytes: number;
  /** The maximum time that a line waits, in milliseconds. */
  readonly ms: number;
  /** Receives complete lines. The bytes are valid only during the call; copy them to keep them. */
  readonly take: (lines: Uint8Array) => void;
}

export interface GatheredLines {
  add(line: string): void;
  /** Passes the current batch on, if it is not empty. */
  pass(): void;
  /** The size of the current batch. */
  readonly length: number;
}

/**
 * Lines are copied to a buffer immediately. V8 stores a concatenated string as its pieces until it is flattened: if lines
 * were gathered as text, thousands of pieces would survive into each garbage collection, and be copied there.
 */
export function gatherLines({ bytes, ms, take }: GatherOptions): GatheredLines {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let length = 0;
  let timer: NodeJS.Timeout | undefined;

  function pass(): void {
    clearTimeout(timer);
    timer = undefined;
    if (length === 0) return;
    const lines = buffer.subarray(0, length);
    length = 0;
    take(lines);
  }

  return {
    add(line) {
      if (!fits(line, bytes - length)) {
        pass();
        if (!fits(line, bytes)) {
          take(Buffer.from(line));
          return;
        }
      }
      length += buffer.write(line, length);
      if (length === bytes) pass();
      else timer ??= setTimeout(pass, ms);
    },
    pass,
    get length() {
      return length;
    },
  };
}

/** Returns whether a line has at most `room` bytes. A UTF-16 unit has at most three in UTF-8, so few lines are measured. */
export function fits(line: string, room: number): boolean {
  return 3 * line.length <= room || Buffer.byteLength(line) <= room;
}
