import { kind, refuse } from './kind.ts';
import { readServerUrl } from './server-url.ts';

/**
 * Where the database is: `embedded` (the program starts its own PostgreSQL), `none`, or the URL of a PostgreSQL
 * server. A driver's name in the scheme, as in `postgresql+asyncpg://`, is dropped: it means nothing here. What is
 * left is a URL that can be parsed without surprises, for half a password read as a path would end up in the log.
 */
export const databaseUrl = () =>
  kind('embedded, none, or postgres://user:password@host:5432/database', (text) => {
    const word = text.toLowerCase();
    if (word === 'embedded' || word === 'none') return word;
    const [, scheme = '', rest = ''] = /^([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?:\/\/(.*)$/is.exec(text) ?? [];
    if (scheme === '') return refuse('it is neither of the two words and not a URL');
    if (!/^postgres(?:ql)?$/i.test(scheme)) return refuse('no other database than PostgreSQL is supported');
    return readServerUrl(`${scheme.toLowerCase()}://${rest}`);
  });
