import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { StartError } from '../errors.ts';

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** Asks for a new password twice without echoing it. Rejects with a StartError if they differ or the input is closed. */
export async function askNewPassword(terminal: Terminal): Promise<string> {
  const password = await askHidden('Password: ', terminal);
  if (password !== (await askHidden('Again: ', terminal))) {
    throw new StartError('The two passwords differ. Nothing was changed: try again.');
  }
  return password;
}

/** Reads a password from a pipe or a file: its whole content without one trailing line break. */
export async function readPassword(input: NodeJS.ReadableStream): Promise<string> {
  return (await text(input)).replace(/\r?\n$/, '');
}

function askHidden(question: string, { input, output }: Terminal): Promise<string> {
  // Line editing works as usual, but its output is discarded.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
  return new Promise<string>((resolve, reject) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () =>
      reject(new StartError('No password was entered. Nothing was changed: try again.')),
    );
    output.write(question);
  }).finally(() => output.write('\n'));
}
