import { type Driver, openDriver } from './driver.ts';

/**
 * A single connection, for state that belongs to a session: locks, LISTEN. Each query must wait for the previous one.
 */
export type DirectConnection = Driver;

export interface DirectConnectionOptions {
  readonly url: string;
  /** The `application_name` in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  /** Called when the connection is closed, by either side. The driver would open another one for the next query. */
  readonly onClose?: () => void;
  /** Called with each message on a channel that the connection listens to. */
  readonly onNotify?: (channel: string, payload: string) => void;
}

/**
 * Opens the connection with its first query and keeps it until it is closed. Queries reject with the driver's errors.
 */
export function connectDirectly(options: DirectConnectionOptions): DirectConnection {
  const { url, applicationName, connectTimeoutSeconds, onClose = () => {}, onNotify = () => {} } = options;
  const driver = {
    max_lifetime: null,
    onclose: onClose,
    // An option that the driver uses for the connection of its own `listen`. Its types do not declare it.
    onnotify: onNotify,
  };
  return openDriver(url, { max: 1, applicationName, connectTimeoutSeconds, driver });
}
