/**
 * Generates the documentation of the settings from their declarations: `.env.example` and `docs/configuration.md`. A
 * test compares the committed files with the generated text.
 */

import { layerNames } from './layer-names.ts';
import { fileVariableOf } from './secret-file.ts';
import { type DeclaredVariable, variables } from './table.ts';

const titles: Readonly<Record<DeclaredVariable['group'], string>> = {
  application: 'Application',
  server: 'Server',
  security: 'Security',
  tasks: 'Background jobs',
};

const groups = Object.entries(titles).map(([group, title]) => ({
  title,
  members: variables.filter((variable) => variable.group === group),
}));

/**
 * Renders the file to copy to `.env`. Every line is a comment, so a copy changes nothing until a line is uncommented; an
 * uncommented default would count as set by the operator.
 */
export function renderEnvExample(): string {
  const head = [
    'Settings of the program. Copy this file to .env and uncomment the lines that you change. Each line shows the default.',
    'Environment variables have precedence over this file. A value that contains # needs quotes.',
    'A secret can be in a file: the variable with _FILE at its end has the path. Set only one of the two.',
    'docs/configuration.md lists all settings with their valid values and explains how they combine.',
  ].map(comment);
  const sections = groups.flatMap(({ title, members }) => [
    '',
    `# --- ${title} ---`,
    ...members.flatMap(renderExample),
  ]);
  return `${[...head, ...sections].join('\n')}\n`;
}

function renderExample(variable: DeclaredVariable): string[] {
  const accepts = `Valid: ${variable.accepts}.`;
  const value = variable.defaultIs === undefined ? variable.default : '';
  const unset = variable.defaultIs === undefined ? '' : ` Default: ${variable.defaultIs}.`;
  return [
    '',
    ...wrap(`${variable.about} ${accepts}${unset}`).map(comment),
    `#${variable.name}=${value}`,
    ...(variable.secret === undefined ? [] : [`#${fileVariableOf(variable.name)}=`]),
  ];
}

const comment = (line: string) => `# ${line}`;

/** Breaks a paragraph into lines of at most 110 characters, where words allow it. */
function wrap(paragraph: string): string[] {
  const lines: string[] = [];
  for (const word of paragraph.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 110) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Renders the page about all settings, as Markdown. */
export function renderConfigurationPage(): string {
  const sections = groups.map(({ title, members }) => `## ${title}\n\n${renderTable(members)}`);
  return [introduction, ...sections, fileSection(), aliasSection(), rules].join('\n\n').concat('\n');
}

function renderTable(members: readonly DeclaredVariable[]): string {
  const rows = members.map((variable) => {
    const cells = [
      code(variable.name),
      variable.accepts,
      variable.defaultIs ?? (variable.default === '' ? 'not set' : code(variable.default)),
      variable.about,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| Variable | Valid values | Default | What it does |', '|---|---|---|---|', ...rows].join('\n');
}

function fileSection(): string {
  const rows = variables.flatMap(({ name, secret }) =>
    secret === undefined ? [] : [`| ${code(fileVariableOf(name))} | ${code(name)} |`],
  );
  return [
    '## Secrets in files',
    '',
    'Docker, Kubernetes and systemd pass secrets as files. Each secret has a second variable, which contains the path of its file, for example `APP_DATABASE_URL_FILE=/run/secrets/database-url`:',
    '',
    '| Variable with a path | Secret |',
    '|---|---|',
    ...rows,
    '',
    'Aliases have one too (`DATABASE_URL_FILE`). White space around the text of the file, such as its last line break, is removed. A secret and its file that are both set in the same source are an error; between sources, the higher one wins. A file that does not exist, cannot be read, is empty, larger than 64 KiB, or no UTF-8 text stops the start with a sentence that names the variable and the path, never the text.',
    '',
    'The file is read at the start and, with several workers, again at SIGHUP ([workers.md](workers.md#reload)). If it changes meanwhile, all workers keep the secret that was read last, and so do their replacements.',
  ].join('\n');
}

function aliasSection(): string {
  const rows = variables.flatMap(({ name, aliases = [] }) =>
    aliases.map((alias) => `| ${code(alias)} | ${code(name)} |`),
  );
  return [
    '## Aliases',
    '',
    'Some variables also have an alias, because platforms and other programs set them without our prefix:',
    '',
    '| Alias | Variable |',
    '|---|---|',
    ...rows,
    '',
    'A variable and its alias with different values in the same source are an error. Between sources, the higher one wins, whichever name it uses. `HOST` and `VERSION` are not read, because shells and build tools set them for other purposes.',
  ].join('\n');
}

const code = (value: string) => `\`${value}\``;

const introduction = `# Configuration

<!-- Generated by \`npm run docs\` from src/settings. Edit the declarations there. -->

Every setting is an environment variable. \`npm run config\` prints each setting with its value and its origin, with secrets masked; \`npm run config -- --json\` prints the same as JSON.

## Sources

From the lowest to the highest precedence:

1. the default in the tables below;
2. \`.env\` in the working directory (copy \`.env.example\`);
3. the environment of the process;
4. the flags \`--host\`, \`--port\` and \`--workers\` of \`npm start --\`.

A secret can be in a file instead ([Secrets in files](#secrets-in-files)).

Settings are read once, at start; they are checked together, frozen and passed down. Nothing reads the environment later, and there is no global settings object to import. A change takes effect at the next start.

An empty or blank variable counts as not set. An unknown \`APP_\` variable is ignored with a warning that suggests the nearest name. An unknown \`SECURITY_\` variable is an error, because it would protect nothing, unless its value is \`false\`, \`0\`, \`off\` or \`no\`. If there are errors, the program does not start and prints all of them, one per line.

## Syntax of values

- **Boolean**: \`true\` or \`false\`; also \`1\`, \`0\`, \`yes\`, \`no\`, \`on\`, \`off\`, in any case.
- **Integer**: decimal digits only, without sign, exponent, fraction or leading zero.
- **List**: a JSON array of strings such as \`["https://a.example","https://b.example"]\`, or items separated by commas: \`https://a.example,https://b.example\`. The empty list is \`[]\`. Duplicates are removed.
- **One of several words**: in any case.
- In \`.env\`, a value that contains \`#\` needs quotes. In URLs, special characters in user names and passwords are percent-encoded.
- Settings are flat: there is no nesting with \`__\`.`;

const rules = `## Settings that stop the start

In staging and production:

- \`SECURITY_JWT_SECRET\` (or \`SECURITY_JWT_SECRETS\`) is not set. In local and test, a secret is generated at the first start and kept in \`APP_DATA_DIR/jwt-secret\`;
- \`APP_MANAGEMENT_TOKEN\` is not set although \`APP_MANAGEMENT_HOST\` can be reached from other machines;
- \`SECURITY_ALERT_WEBHOOK_URL\` without https, except with \`SECURITY_ALERT_WEBHOOK_ALLOW_HTTP=true\`.

In production:

- \`APP_DEBUG=true\`, because error responses would contain stack traces;
- \`*\` in \`APP_ALLOWED_HOSTS\`, which is the default: the hosts must be listed;
- \`APP_DATABASE_URL\` is not set: the embedded database needs an explicit \`APP_DATABASE_URL=embedded\`.

In every environment:

- \`*\` in \`APP_CORS_ALLOW_ORIGINS\` with \`APP_CORS_ALLOW_CREDENTIALS=true\`, which is the default;
- a token secret that is shorter than the hash of \`SECURITY_JWT_ALGORITHM\`, a placeholder, or published; and \`SECURITY_JWT_SECRET\` together with \`SECURITY_JWT_SECRETS\`, unless it is the first of the list;
- a guessable \`APP_MANAGEMENT_TOKEN\` if other machines reach the management port;
- \`APP_MANAGEMENT_PORT\` equal to \`APP_PORT\`;
- \`SECURITY_ENABLE_HSTS=true\` or \`SECURITY_ENFORCE_HTTPS=true\` without \`SECURITY_TRUST_PROXY_HEADERS=true\`, or with one of their layers disabled;
- \`SECURITY_SESSION_IDLE_DAYS\` above \`SECURITY_SESSION_MAX_DAYS\`;
- \`SECURITY_RATE_LIMIT_PER_MINUTE\` and \`SECURITY_RATE_LIMIT_BURST\` together above 1000000;
- \`APP_TASKS_BROKER_URL\` without a PostgreSQL server in \`APP_DATABASE_URL\`; \`APP_TASKS_RESULT_BACKEND\` with a URL other than these two; \`redis://\` in either of them, because jobs are kept in the database;
- an unknown \`SECURITY_\` variable that is not switched off, such as \`SECURITY_ENABLE_HST=true\`;
- \`SECURITY_REDIS_ENABLED=true\` without \`SECURITY_REDIS_URL\`, or without the package \`@redis/client\`; \`SECURITY_RATE_LIMIT_STORE=redis\` without \`SECURITY_REDIS_ENABLED=true\`; \`SECURITY_RATE_LIMIT_STORE=postgres\` without a database;
- a Redis that rejects the password, the user or the database number of \`SECURITY_REDIS_URL\`, or whose certificate is not trusted. A Redis that does not answer stops nothing ([rate-limit.md](rate-limit.md#when-the-store-fails));
- with \`SECURITY_ENABLE_ALERTING=true\`: a webhook without a secret, with a guessable one or with one of access tokens, or at a private address that \`APP_OUTGOING_ALLOWED_ADDRESSES\` does not contain; \`metrics\` in \`APP_DISABLED_LAYERS\`; \`SECURITY_ALERT_RATE_LIMIT_THRESHOLD\` without a rate limit ([alerting.md](alerting.md#what-stops-the-start));
- a database other than PostgreSQL. \`postgresql+asyncpg://\` and the like are read as \`postgresql://\`.

These are allowed with a warning: a limit per hour below the limit per minute; every address as a trusted proxy; a body deadline longer than the request's; a keep-alive time longer than the grace time; no mail server in staging and production; a management port without a token that other machines reach, in local; a database connection that does not require TLS and a Redis on another machine without TLS, in staging and production; every disabled protection there, by its name; most settings that have no effect because of another one.

## Values derived from the settings

| Value | Derived from |
|---|---|
| \`docsUrl\`, \`redocUrl\`, \`openapiUrl\` | \`APP_ENVIRONMENT\`: \`/docs\`, \`/redoc\` and \`/openapi.json\` in local and staging; not served elsewhere |
| \`migrateAtStart\` | \`APP_DATABASE_MIGRATE\`; \`auto\` means true in local and test and with the embedded database; always false without a database |
| \`adoptsEmptyDatabase\` | where \`APP_DATABASE_URL\` is set. In local, \`DATABASE_URL\` in the environment is not enough to create tables in an empty database, because it may belong to another project: false, except with \`APP_DATABASE_MIGRATE=true\` |
| \`databaseKind\` | \`APP_DATABASE_URL\`: \`embedded\`, \`postgres\` or \`none\` |
| \`management\` | \`APP_MANAGEMENT_PORT\`; \`auto\` means 9181, and no port in test. Only with \`auto\` in local may it move to a free port when 9181 is taken |
| \`jwtSecrets\` | \`SECURITY_JWT_SECRETS\`, or the one secret of \`SECURITY_JWT_SECRET\`; empty if neither is set |
| \`tasks.enabled\` | \`APP_TASKS_ENABLED\`; false without a database |
| \`isProduction\` | \`APP_ENVIRONMENT\` is \`production\` |

## Layers

\`APP_DISABLED_LAYERS\` accepts these names: ${layerNames.map(code).join(', ')}. The other layers cannot be disabled.

## Adding a setting

Declare it in \`src/settings/groups/\` (\`application.ts\`, \`server.ts\`, \`security.ts\`, \`identity.ts\`, \`management.ts\` or \`tasks.ts\`) with \`variable()\`: its name, kind, default and one sentence. Its type, this page, \`.env.example\` and \`npm run config\` follow from the declaration; run \`npm run docs\`.`;
