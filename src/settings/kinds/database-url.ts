import { ConnectionUrlError, readConnectionUrl } from '../../db/driver/connection-url.ts';
import { kind, reject } from './kind.ts';

/** The database: `embedded` (the program starts its own PostgreSQL), `none`, or the URL of a PostgreSQL server. */
export const databaseUrl = () =>
  kind('embedded, none, or postgres://user:password@host:5432/database', (text) => {
    const word = text.toLowerCase();
    if (word === 'embedded' || word === 'none') return word;
    return readPostgresUrl(text) ?? reject('it is neither embedded nor none nor a URL');
  });

/**
 * Reads the URL of a PostgreSQL server. Returns undefined if the text is not a URL. A driver's name in the scheme, as in
 * `postgresql+asyncpg://`, is removed, because it has no meaning here. Rejects other databases, and every URL that
 * `readConnectionUrl` rejects, so that an invalid URL is found before anything is opened.
 */
export function readPostgresUrl(text: string): string | undefined {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?:\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === '') return undefined;
  if (!/^postgres(?:ql)?$/i.test(scheme)) return reject('only PostgreSQL is supported');
  const url = `${scheme.toLowerCase()}://${rest}`;
  try {
    readConnectionUrl(url);
    return url;
  } catch (error) {
    if (!(error instanceof ConnectionUrlError)) throw error;
    return reject(error.message);
  }
}
