import type { ProcessContext } from '../process.ts';
import type { StartOptions } from '../start-server.ts';

/** Routes that a program serves beside the routes of the product. */
export type ServerProgramOptions = Pick<StartOptions, 'extraRoutes'>;

/** The context of each role of the server program: single process, primary, HTTP worker. */
export interface ServerRoleContext extends ProcessContext {
  readonly options: ServerProgramOptions;
  /** Set in `npm run dev`, whose process runs the embedded database and the jobs beside this server. */
  readonly dev?: { readonly databaseUrl: string | null };
}

/** A role that runs until a signal stops it, and its reactions to signals. */
export interface RunningRole {
  readonly url: string;
  readonly managementUrl: string | null;
  /** The database; null if there is none. */
  readonly databaseUrl: string | null;
  /** SIGHUP: loads new code and new settings. */
  reload(): void;
  /** SIGTTIN and SIGTTOU: adds or removes a worker. */
  resize(by: number): void;
  /** SIGTERM and SIGINT: drains and closes everything. */
  stop(): Promise<void>;
}

/** Returns the database that a supervisor has opened, as an option of `openDatabaseServer`. */
export function openedBy({ dev }: ServerRoleContext): { readonly opened?: string | null } {
  return dev === undefined ? {} : { opened: dev.databaseUrl };
}
