/** Puts log lines together, as bytes, so that a write takes many of them. */

export interface GatherOptions {
  /** What is handed over is no longer than that, but for a line that is longer by itself. */
  readonly bytes: number;
  /** A line waits for so many milliseconds at most. */
  readonly ms: number;
  /** Takes whole lines. The bytes are good during the call alone: what is kept has to be copied. */
  readonly take: (lines: Uint8Array) => void;
}

export interface GatheredLines {
  add(line: string): void;
  /** Hands over what has been gathered, if anything. */
  pass(): void;
  /** The bytes that wait to be handed over. */
  readonly length: number;
}

/**
 * A line is copied the moment it comes. V8 keeps a string that was put together as its pieces until somebody needs
 * it whole: gathered as text, thousands of them would be waiting in each collection of garbage, and be copied there.
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

/** Whether a line takes no more than `room` bytes. In UTF-8 a unit of a string takes three at most; few have to be counted. */
export function fits(line: string, room: number): boolean {
  return 3 * line.length <= room || Buffer.byteLength(line) <= room;
}
