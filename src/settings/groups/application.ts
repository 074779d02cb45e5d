import { resolve } from 'node:path';
import * as z from 'zod';
import { databaseUrl } from '../kinds/database-url.ts';
import {
  autoOrBoolean,
  boolean,
  choice,
  integer,
  kind,
  list,
  readChoice,
  reject,
  rejectItem,
  text,
} from '../kinds/kind.ts';
import { linkBase, mailbox, smtpUrl } from '../kinds/mail.ts';
import { hostPatterns, origins } from '../kinds/network.ts';
import { fixedLayers, layerNames } from '../layer-names.ts';
import { nearestName } from '../nearest-name.ts';
import { packageVersion } from '../package-version.ts';
import { variable } from '../variable.ts';

const dayMs = 86_400_000;

/** What the program is, what it says in the log, who may call it from a browser, and where its data is. */
export const application = z.object({
  environment: variable('APP_ENVIRONMENT', choice(['local', 'test', 'staging', 'production']), {
    default: 'local',
    aliases: ['ENVIRONMENT'],
    about:
      'Where the program runs. Local and staging serve the docs pages; production refuses what is unsafe there.',
  }),
  debug: variable('APP_DEBUG', boolean(), {
    default: 'false',
    about:
      'Stack traces in error answers, and the first 256 bytes of bodies in the log. Refused in production.',
  }),
  projectName: variable('APP_PROJECT_NAME', text(100), {
    default: 'Strata',
    about: 'Name of the service in the log, in the API document and in the meta endpoint.',
  }),
  projectDescription: variable('APP_PROJECT_DESCRIPTION', text(1000), {
    default: 'A production HTTP backend on bare node:http.',
    about: 'Description of the service in the API document.',
  }),
  projectVersion: variable('APP_PROJECT_VERSION', text(100), {
    default: packageVersion,
    defaultIs: 'the version in package.json',
    about: 'Version of the service in the API document and in the meta endpoint.',
  }),
  apiPrefix: variable('APP_API_PREFIX', kind('a path such as /api/v1', readPrefix), {
    default: '/api/v1',
    about: 'Path that all routes of the API start with.',
  }),
  logLevel: variable(
    'APP_LOG_LEVEL',
    choice(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'], levelAliases()),
    {
      default: 'INFO',
      about: 'The least level that is written. WARN and FATAL are understood as WARNING and CRITICAL.',
    },
  ),
  logFormat: variable('APP_LOG_FORMAT', choice(['json', 'console']), {
    default: 'json',
    about: 'One JSON object a line, or coloured lines for a person (needs the package pino-pretty).',
  }),
  logIncludeCaller: variable('APP_LOG_INCLUDE_CALLER', boolean(), {
    default: 'false',
    about:
      'Add the file and line that logged: of the sources, where Node runs with --enable-source-maps. It costs a stack trace a line.',
  }),
  corsAllowOrigins: variable('APP_CORS_ALLOW_ORIGINS', origins(), {
    default: '[]',
    about: 'Origins whose pages may call the API from a browser.',
  }),
  corsAllowCredentials: variable('APP_CORS_ALLOW_CREDENTIALS', boolean(), {
    default: 'true',
    about: 'Let those pages send cookies and Authorization. Not together with the origin *.',
  }),
  corsMaxAgeSeconds: variable('APP_CORS_MAX_AGE_SECONDS', integer(0, 86_400, 'seconds'), {
    default: '600',
    about: 'How long a browser may remember the answer to a preflight request.',
  }),
  allowedHosts: variable('APP_ALLOWED_HOSTS', hostPatterns(), {
    default: '["*"]',
    about: 'Hosts that requests may be addressed to. Production wants them named.',
  }),
  databaseUrl: variable('APP_DATABASE_URL', databaseUrl(), {
    default: 'embedded',
    aliases: ['DATABASE_URL'],
    secret: 'url-password',
    about:
      'The PostgreSQL server. `embedded` starts one on this machine with its data in APP_DATA_DIR; `none` runs without a database.',
  }),
  databasePoolSize: variable('APP_DATABASE_POOL_SIZE', integer(1, 1000), {
    default: '5',
    aliases: ['DATABASE_POOL_SIZE'],
    about: 'Connections to the database of one worker.',
  }),
  databasePoolQueue: variable('APP_DATABASE_POOL_QUEUE', integer(0, 100_000), {
    default: '200',
    about:
      'How many queries of one worker may wait for a connection at once. Further requests are refused at once with 503 and `Retry-After`, instead of waiting in vain.',
  }),
  databasePoolWaitMs: variable('APP_DATABASE_POOL_WAIT_MS', integer(1, dayMs, 'milliseconds'), {
    default: '5000',
    about: 'How long a query may wait for a connection before its request is refused with 503.',
  }),
  databaseEcho: variable('APP_DATABASE_ECHO', boolean(), {
    default: 'false',
    aliases: ['DATABASE_ECHO'],
    about:
      'Log every query, without the values of its parameters. Those by which a runner claims and records jobs are left out.',
  }),
  databaseStatementTimeoutMs: variable(
    'APP_DATABASE_STATEMENT_TIMEOUT_MS',
    integer(0, dayMs, 'milliseconds'),
    {
      default: '15000',
      about: 'PostgreSQL ends a statement that takes longer. 0 is no limit.',
    },
  ),
  databaseConnectTimeoutSeconds: variable(
    'APP_DATABASE_CONNECT_TIMEOUT_SECONDS',
    integer(1, 300, 'seconds'),
    {
      default: '5',
      about: 'How long a connection to the database may take to open.',
    },
  ),
  databaseSlowQueryMs: variable('APP_DATABASE_SLOW_QUERY_MS', integer(0, dayMs, 'milliseconds'), {
    default: '1000',
    about: 'A query that takes longer is logged as `slow.query`.',
  }),
  databaseMigrate: variable('APP_DATABASE_MIGRATE', autoOrBoolean(), {
    default: 'auto',
    about:
      'Apply pending migrations at start. `auto` does so in local and test, and with the embedded database.',
  }),
  dataDir: variable('APP_DATA_DIR', kind('the path of a folder', readFolder), {
    default: '.data',
    about: 'Folder for everything the program keeps on disk, relative to where it was started.',
  }),
  publicUrl: variable('APP_PUBLIC_URL', linkBase(), {
    default: '',
    phase: 2,
    about:
      'Where the pages for your users are: what the links in mails start with. Without it, a mail names the token and the call that takes it.',
  }),
  smtpUrl: variable('APP_SMTP_URL', smtpUrl(), {
    default: '',
    phase: 2,
    secret: 'url-password',
    about:
      'The server that sends mail; needs the package nodemailer. To another machine it must speak TLS. Without it, local and test write mails to files in APP_DATA_DIR, and elsewhere none are sent.',
  }),
  mailFrom: variable('APP_MAIL_FROM', mailbox(), {
    default: 'Strata <no-reply@localhost>',
    phase: 2,
    about: 'Whom mails are from.',
  }),
  compressionMinBytes: variable('APP_COMPRESSION_MIN_BYTES', integer(0, 1_073_741_824, 'bytes'), {
    default: '1000',
    about: 'Answers that are shorter are not compressed.',
  }),
  disabledLayers: variable('APP_DISABLED_LAYERS', list(`layers (${layerNames.join(', ')})`, readLayer), {
    default: '[]',
    about: 'Layers of the pipeline to leave out.',
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
  return plain ? path : reject('between slashes, letters, digits, and . _ ~ - can stand');
}

function readFolder(path: string): string {
  return path.includes('\0') ? reject() : resolve(path);
}

function readLayer(name: string) {
  const wanted = name.toLowerCase();
  const reason = fixedLayers.get(wanted);
  if (reason !== undefined) return rejectItem(name, `cannot be left out: ${reason}`);
  if (layerNames.some((layer) => layer === wanted)) return readChoice(layerNames)(wanted);
  const nearest = nearestName(wanted, layerNames);
  return rejectItem(
    name,
    nearest === undefined ? 'is no such layer' : `is no layer; did you mean ${nearest}`,
  );
}
