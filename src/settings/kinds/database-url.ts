import { ConnectionUrlError, readConnectionUrl } from '../../db/driver/connection-url.ts';
import { kind, reject } from './kind.ts';

/** Where the database is: `embedded` (the program starts its own PostgreSQL), `none`, or the URL of a PostgreSQL server. */
export const databaseUrl = () =>
  kind('embedded, none, or postgres://user:password@host:5432/database', (text) => {
    const word = text.toLowerCase();
    if (word === 'embedded' || word === 'none') return word;
    return readPostgresUrl(text) ?? reject('it is neither of the two words and not a URL');
  });

/**
 * The URL of a PostgreSQL server; undefined for what is no URL. A driver's name in the scheme, as in
 * `postgresql+asyncpg://`, is dropped: it means nothing here. Refuses other databases, and every URL that
 * `readConnectionUrl` does not read, so that a fault in it is found before anything is opened.
 */
export function readPostgresUrl(text: string): string | undefined {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?:\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === '') return undefined;
  if (!/^postgres(?:ql)?$/i.test(scheme)) return reject('no other database than PostgreSQL is supported');
  const url = `${scheme.toLowerCase()}://${rest}`;
  try {
    readConnectionUrl(url);
    return url;
  } catch (error) {
    if (!(error instanceof ConnectionUrlError)) throw error;
    return reject(error.message);
  }
}
