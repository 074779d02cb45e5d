import { connect } from 'node:net';

/**
 * Sends bytes on a new connection and reads the response only after all of them are sent, as simple clients do. Rejects if
 * the server resets the connection before that, since the response is lost then.
 */
export function sendThenRead(port: number, chunks: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('error', reject).on('end', () => resolve(received));
    for (const chunk of chunks) socket.write(chunk);
    socket.write('', () => {
      socket.setEncoding('latin1').on('data', (data: string) => {
        received += data;
      });
    });
  });
}
