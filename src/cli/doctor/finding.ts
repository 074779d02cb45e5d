/**
 * A result of the doctor about one subject.
 *
 * - `fine`: nothing to do.
 * - `advice`: the program starts and works, but something may fail later, or is less safe than it could be.
 * - `fault`: the program does not start, or does not work as the settings require.
 */
export interface Finding {
  readonly severity: 'fine' | 'advice' | 'fault';
  readonly subject: string;
  /** One sentence: the fact, and what to change. */
  readonly text: string;
}

/** Collects the findings about one subject. */
export interface Findings {
  readonly list: readonly Finding[];
  fine(text: string): void;
  advise(text: string): void;
  fault(text: string): void;
}

export function createFindings(subject: string): Findings {
  const list: Finding[] = [];
  const add = (severity: Finding['severity']) => (text: string) =>
    void list.push({ severity, subject, text });
  return { list, fine: add('fine'), advise: add('advice'), fault: add('fault') };
}
