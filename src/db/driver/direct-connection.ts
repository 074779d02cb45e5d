import { type Driver, openDriver } from './driver.ts';

/** One connection, for what lives in its session: locks, LISTEN. Every query must wait for the one before. */
export type DirectConnection = Driver;

export interface DirectConnectionOptions {
  readonly url: string;
  /** What `pg_stat_activity` shows. */
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  /** Told when the connection was closed, by whomever. The driver would open another for the next query. */
  readonly onClose?: () => void;
  /** Told of each message on a channel that the connection has asked for with LISTEN. */
  readonly onNotify?: (channel: string, payload: string) => void;
}

/** Opens it when it is first used, and keeps it until it is closed. Its queries reject with the driver's errors. */
export function connectDirectly(options: DirectConnectionOptions): DirectConnection {
  const { url, applicationName, connectTimeoutSeconds, onClose = () => {}, onNotify = () => {} } = options;
  const driver = {
    max_lifetime: null,
    onclose: onClose,
    // By this the driver's own `listen` works, on a connection that it opens for it. Its types do not tell.
    onnotify: onNotify,
  };
  return openDriver(url, { max: 1, applicationName, connectTimeoutSeconds, driver });
}
