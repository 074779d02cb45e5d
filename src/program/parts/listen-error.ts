import { once } from 'node:events';
import { createServer } from 'node:net';
import { StartError, systemErrorCode } from '../../errors.ts';
import type { Settings } from '../../settings/load.ts';

/** The address to listen on, and the settings that define it, such as `APP_PORT (or --port)`. */
export interface ListenTarget {
  readonly host: string;
  readonly port: number;
  readonly hostSetting: string;
  readonly portSetting: string;
}

/** Returns where the server listens for requests. */
export function publicTarget({ server }: Settings): ListenTarget {
  const { host, port } = server;
  return { host, port, hostSetting: 'APP_HOST (or --host)', portSetting: 'APP_PORT (or --port)' };
}

/**
 * Listens on the port for a moment. Rejects with a StartError if that is not possible. The supervisor calls it before it
 * opens the database, so that a port that is taken stops the start before a database is created or migrated.
 */
export async function assertCanListen(target: ListenTarget): Promise<void> {
  const server = createServer();
  try {
    server.listen(target.port, target.host);
    await once(server, 'listening');
  } catch (error) {
    throw toListenError(error, target);
  }
  server.close();
  await once(server, 'close');
}

/** Returns a StartError with the reason why the server cannot listen, or `error` itself for any other cause. */
export function toListenError(
  error: unknown,
  { host, port, hostSetting, portSetting }: ListenTarget,
): unknown {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken by another process. Stop it, or set ${portSetting} to a free one.`,
    EACCES: `This user may not listen on ${host}:${port}. Set ${portSetting} to 1024 or above.`,
    EADDRNOTAVAIL: `This machine has no address ${host}. Set ${hostSetting} to one of its own, such as 127.0.0.1 or 0.0.0.0.`,
    ENOTFOUND: `The name ${host} is not known. Set ${hostSetting} to an address of this machine.`,
  };
  const sentence = sentences[systemErrorCode(error) ?? ''];
  return sentence === undefined ? error : new StartError(sentence, { cause: error });
}
