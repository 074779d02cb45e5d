import { StartError } from '../errors.ts';

/** Where somebody wanted to listen, and the settings that said so: `APP_PORT (or --port)`. */
export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly hostSetting: string;
  readonly portSetting: string;
}

/** Throws a StartError in the operator's terms for what keeps a server from listening; anything else as it is. */
export function rejectListenError(
  error: unknown,
  { host, port, hostSetting, portSetting }: Listening,
): never {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken by another process. Stop it, or set ${portSetting} to a free one.`,
    EACCES: `This user may not listen on ${host}:${port}. Set ${portSetting} to 1024 or above.`,
    EADDRNOTAVAIL: `This machine has no address ${host}. Set ${hostSetting} to one of its own, such as 127.0.0.1 or 0.0.0.0.`,
    ENOTFOUND: `The name ${host} is not known. Set ${hostSetting} to an address of this machine.`,
  };
  const sentence = sentences[listenErrorCode(error)];
  if (sentence === undefined) throw error;
  throw new StartError(sentence, { cause: error });
}

/** The system's name for why nobody listens there, such as `EADDRINUSE`; empty for an error without one. */
export function listenErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
