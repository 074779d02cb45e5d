/** A name server on a loopback address of its own, which answers every question for an address with 127.0.0.1. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface ProofDns {
  readonly address: string;
  /** `silent` answers nothing; `failing` answers that the server failed. */
  set(state: 'answering' | 'silent' | 'failing'): void;
  stop(): void;
}

const address = '127.0.0.54';

/** Rejects without the right to use port 53. */
export async function startProofDns(): Promise<ProofDns> {
  let state: 'answering' | 'silent' | 'failing' = 'answering';
  const socket = createSocket('udp4');
  socket.on('message', (question, { port, address: from }) => {
    if (state !== 'silent') socket.send(answerTo(question, state === 'failing'), port, from);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  return {
    address,
    set(next) {
      state = next;
    },
    stop: () => socket.close(),
  };
}

/** Returns the response (RFC 1035, section 4.1): the header, the question, and an A record if it asks for one. */
function answerTo(question: Buffer, isFailing: boolean): Buffer {
  let end = 12;
  while (end < question.length && question[end] !== 0) end += (question[end] ?? 0) + 1;
  end += 5;
  const asksForAddress = question.readUInt16BE(end - 4) === 1;
  const header = Buffer.from(question.subarray(0, 12));
  // A response, recursion available; the code 2 is a failure of the server. One question, no other sections.
  header.writeUInt16BE(0x8180 + (isFailing ? 2 : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(asksForAddress && !isFailing ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  const parts = [header, question.subarray(12, end)];
  // The name by reference, type A, class IN, a time to live of 0, four bytes.
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
  return Buffer.concat(asksForAddress && !isFailing ? [...parts, record] : parts);
}
