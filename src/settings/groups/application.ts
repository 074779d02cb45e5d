import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { projectRoot } from '../../project-root.ts';
import { databaseUrl } from '../kinds/database-url.ts';
import {
  autoOrBoolean,
  boolean,
  boundedText,
  choice,
  integer,
  kind,
  list,
  readChoice,
  reject,
  rejectItem,
} from '../kinds/kind.ts';
import { linkBase, mailbox, smtpUrl } from '../kinds/mail.ts';
import { hostPatterns, origins } from '../kinds/network.ts';
import { fixedLayers, layerNames } from '../layer-names.ts';
import { nearestName } from '../nearest-name.ts';
import { variable } from '../variable.ts';
import { cacheSettings } from './cache.ts';
import { outgoingSettings } from './outgoing.ts';

const dayMs = 86_400_000;

/** The version in package.json. */
const packageVersion = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))).version;

/** Identity of the service, logging, browser access, the database, mail, and the pipeline. */
export const application = z.object({
  environment: variable('APP_ENVIRONMENT', choice(['local', 'test', 'staging', 'production']), {
    default: 'local',
    aliases: ['ENVIRONMENT'],
    about:
      'Environment of the program. Local and staging serve the docs pages; production rejects unsafe settings.',
  }),
  debug: variable('APP_DEBUG', boolean(), {
    default: 'false',
    about:
      'Include stack traces in error responses and the first 256 bytes of bodies in the log. Not allowed in production.',
  }),
  projectName: variable('APP_PROJECT_NAME', boundedText(100), {
    default: 'Strata',
    about: 'Name of the service in the log, the OpenAPI document and the meta endpoint.',
  }),
  projectDescription: variable('APP_PROJECT_DESCRIPTION', boundedText(1000), {
    default: 'A production HTTP backend on bare node:http.',
    about: 'Description of the service in the OpenAPI document.',
  }),
  projectVersion: variable('APP_PROJECT_VERSION', boundedText(100), {
    default: packageVersion,
    defaultIs: 'the version in package.json',
    about: 'Version of the service in the OpenAPI document and the meta endpoint.',
  }),
  apiPrefix: variable('APP_API_PREFIX', kind('a path such as /api/v1', readPrefix), {
    default: '/api/v1',
    about: 'Prefix of the paths of all API routes.',
  }),
  logLevel: variable(
    'APP_LOG_LEVEL',
    choice(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'], levelAliases()),
    {
      default: 'INFO',
      about: 'Lowest level that is logged. WARN and FATAL mean WARNING and CRITICAL.',
    },
  ),
  logFormat: variable(
    'APP_LOG_FORMAT',
    choice(['auto', 'json', 'console'], new Map([['pretty', 'console'] as const])),
    {
      default: 'auto',
      about:
        'One JSON object per line (`json`), or text for a person (`console`, or `pretty`). `auto` means text on a terminal in local, and JSON everywhere else.',
    },
  ),
  logIncludeCaller: variable('APP_LOG_INCLUDE_CALLER', boolean(), {
    default: 'false',
    about:
      'Add the file and line of the logging code (of the sources, if Node runs with --enable-source-maps). Costs a stack trace per log line.',
  }),
  traceContext: variable('APP_TRACE_CONTEXT', choice(['accept', 'restart']), {
    default: 'accept',
    about:
      'Whether a request continues the trace of its `traceparent` (`accept`), or starts a trace of its own (`restart`). Use `restart` if clients that you do not trust reach this server and no gateway removes the header: otherwise they choose which requests a tracer records. See docs/tracing.md.',
  }),
  corsAllowOrigins: variable('APP_CORS_ALLOW_ORIGINS', origins(), {
    default: '[]',
    about: 'Origins whose pages may call the API from a browser.',
  }),
  corsAllowCredentials: variable('APP_CORS_ALLOW_CREDENTIALS', boolean(), {
    default: 'true',
    about: 'Let those pages send cookies and Authorization. Not allowed together with the origin *.',
  }),
  corsMaxAgeSeconds: variable('APP_CORS_MAX_AGE_SECONDS', integer(0, 86_400, 'seconds'), {
    default: '600',
    about: 'How long a browser may cache the response to a preflight request.',
  }),
  allowedHosts: variable('APP_ALLOWED_HOSTS', hostPatterns(), {
    default: '["*"]',
    about: 'Hosts that requests may name. Production does not allow *.',
  }),
  databaseUrl: variable('APP_DATABASE_URL', databaseUrl(), {
    default: 'embedded',
    aliases: ['DATABASE_URL'],
    secret: 'url-password',
    about:
      'The PostgreSQL server. `embedded` starts one on this machine, with its data in APP_DATA_DIR; `none` runs without a database.',
  }),
  databasePoolSize: variable('APP_DATABASE_POOL_SIZE', integer(1, 1000), {
    default: '5',
    aliases: ['DATABASE_POOL_SIZE'],
    about: 'Database connections per worker.',
  }),
  databasePoolQueue: variable('APP_DATABASE_POOL_QUEUE', integer(0, 100_000), {
    default: '200',
    about:
      'How many queries of one worker may wait for a connection. Further requests immediately get 503 with `Retry-After`.',
  }),
  databasePoolWaitMs: variable('APP_DATABASE_POOL_WAIT_MS', integer(1, dayMs, 'milliseconds'), {
    default: '5000',
    about: 'How long a query may wait for a connection. Then its request gets 503.',
  }),
  databaseEcho: variable('APP_DATABASE_ECHO', boolean(), {
    default: 'false',
    aliases: ['DATABASE_ECHO'],
    about:
      'Log every query, without the values of its parameters. Queries with which a runner claims and records jobs are not logged.',
  }),
  databaseStatementTimeoutMs: variable(
    'APP_DATABASE_STATEMENT_TIMEOUT_MS',
    integer(0, dayMs, 'milliseconds'),
    {
      default: '15000',
      about: 'PostgreSQL cancels statements that take longer. 0 means no limit.',
    },
  ),
  databaseConnectTimeoutSeconds: variable(
    'APP_DATABASE_CONNECT_TIMEOUT_SECONDS',
    integer(1, 300, 'seconds'),
    {
      default: '5',
      about: 'Timeout for opening a database connection.',
    },
  ),
  databaseSlowQueryMs: variable('APP_DATABASE_SLOW_QUERY_MS', integer(0, dayMs, 'milliseconds'), {
    default: '1000',
    about: 'Queries that take longer are logged as `slow.query`.',
  }),
  databaseMigrate: variable('APP_DATABASE_MIGRATE', autoOrBoolean(), {
    default: 'auto',
    about:
      'Apply pending migrations at start. `auto` does so in local and test, and with the embedded database.',
  }),
  dataDir: variable('APP_DATA_DIR', kind('the path of a folder', readFolder), {
    default: '.data',
    about: 'Folder for all files that the program stores, relative to its working directory.',
  }),
  publicUrl: variable('APP_PUBLIC_URL', linkBase(), {
    default: '',
    about:
      'Base URL of your pages for users, for the links in mails. Without it, mails contain the token and the API call to make.',
  }),
  smtpUrl: variable('APP_SMTP_URL', smtpUrl(), {
    default: '',
    secret: 'url-password',
    about:
      'The mail server (needs the package nodemailer). On another machine, it must support TLS. Without it, local and test write mails to files in APP_DATA_DIR, and staging and production send none.',
  }),
  mailFrom: variable('APP_MAIL_FROM', mailbox(), {
    default: 'Strata <no-reply@localhost>',
    about: 'Sender of all mails.',
  }),
  compressionMinBytes: variable('APP_COMPRESSION_MIN_BYTES', integer(0, 1_073_741_824, 'bytes'), {
    default: '1000',
    about: 'Smaller responses are not compressed.',
  }),
  ...cacheSettings,
  ...outgoingSettings,
  disabledLayers: variable('APP_DISABLED_LAYERS', list(`layers (${layerNames.join(', ')})`, readLayer), {
    default: '[]',
    about: 'Layers of the pipeline to disable.',
  }),
});

function levelAliases() {
  return new Map([
    ['warn', 'WARNING'],
    ['fatal', 'CRITICAL'],
  ] as const);
}

function readPrefix(path: string): string {
  if (!path.startsWith('/')) return reject('it must start with a slash');
  if (path.endsWith('/')) return reject('it must not end with a slash');
  const segments = path.slice(1).split('/');
  const plain = segments.every((segment) => /^[\w~-][\w.~-]*$/.test(segment));
  return plain ? path : reject('between the slashes, only letters, digits, and . _ ~ - are allowed');
}

function readFolder(path: string): string {
  return path.includes('\0') ? reject() : resolve(path);
}

function readLayer(name: string) {
  const wanted = name.toLowerCase();
  const reason = fixedLayers.get(wanted);
  if (reason !== undefined) return rejectItem(name, `cannot be disabled: ${reason}`);
  if (layerNames.some((layer) => layer === wanted)) return readChoice(layerNames)(wanted);
  const nearest = nearestName(wanted, layerNames);
  return rejectItem(
    name,
    nearest === undefined ? 'is not a layer' : `is not a layer; did you mean ${nearest}`,
  );
}
