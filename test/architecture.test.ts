/**
 * Holds the rules of `docs/architecture.md` by reading the import lines of `src/`: which folder may import which, that no
 * imports run in a circle, that only settings read the environment, the maximum length of a file, and the packages of
 * production. To change a rule, change the table here together with the code that needs it.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');

interface Import {
  /** A package's name, or a file below `src/`. */
  readonly of: string;
  /** Erased when the program runs. */
  readonly typeOnly: boolean;
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const sources: readonly Source[] = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .map((file) => {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    return { file, text, imports: importsOf(file, text) };
  });

/** Every import, re-export, `import()` and `require` of a file but those of Node's own modules. */
function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  const statement = /^(import|export)( type)?\b(?:[^;'"]*?from)? '([^']+)'/gm;
  for (const [, , type, specifier = ''] of text.matchAll(statement)) {
    found.push({ of: resolve(file, specifier), typeOnly: type !== undefined });
  }
  const call = /\b(typeof )?(?:import|require|createRequire\(import\.meta\.url\))\('([^']+)'\)/g;
  for (const [, type, specifier = ''] of text.matchAll(call)) {
    found.push({ of: resolve(file, specifier), typeOnly: type !== undefined });
  }
  return found.filter(({ of }) => !of.startsWith('node:'));
}

function resolve(file: string, specifier: string): string {
  return specifier.startsWith('.') ? relative(root, join(root, dirname(file), specifier)) : specifier;
}

/** Returns the folder of a file: the top one, or below `features/` the folder that holds the file. */
function placeOf(file: string): string {
  const [top = ''] = file.split('/');
  if (file === 'features.ts') return file;
  return top === 'features' ? dirname(file) : top.replace(/\.ts$/, '');
}

/**
 * The imports that each folder may have besides its own files. `type:` allows its types alone, a path one file of it. The middlewares
 * and the features have more rules below; what is not in the table assembles the program and may import anything.
 */
const table: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  'project-root': [],
  concurrency: ['errors'],
  resilience: ['errors'],
  // Whether a secret can be guessed is decided where tokens are signed, and how a database is named where connections
  // are opened; the two files that decide it are pure.
  settings: [
    'errors',
    'project-root',
    'mail/mail-address.ts',
    'auth/strength/secret-strength.ts',
    'db/driver/connection-url.ts',
    'redis/redis-url.ts',
    'zod',
  ],
  observability: ['errors', 'resilience', 'type:settings', 'pino'],
  db: [
    'errors',
    'project-root',
    'concurrency',
    'resilience',
    'observability',
    'type:settings',
    'postgres',
    'zod',
  ],
  redis: ['errors', 'concurrency', 'resilience', 'observability', '@redis/client'],
  limits: ['errors', 'resilience', 'observability', 'db', 'redis', 'type:settings'],
  cache: ['errors', 'concurrency', 'resilience', 'observability', 'redis', 'zod'],
  auth: ['errors', 'concurrency', 'resilience', 'type:db'],
  idempotency: ['errors', 'db', 'observability', 'zod'],
  mail: ['errors', 'concurrency', 'resilience', 'observability', 'nodemailer'],
  // Types of principals: a route declares the callers that it admits, and a handler gets the caller.
  http: ['errors', 'mail/mail-address.ts', 'type:auth', 'zod', '@fastify/busboy'],
  middleware: ['errors', 'http', 'resilience', 'limits', 'auth', 'idempotency', 'observability'],
  openapi: ['errors', 'http', 'zod', 'swagger-ui-dist'],
  jobs: ['errors', 'db', 'concurrency', 'resilience', 'observability', 'zod'],
  features: [
    'errors',
    'concurrency',
    'http',
    'auth',
    'cache/cache.ts',
    'type:cache',
    'db',
    'mail',
    'observability',
    'jobs/queue.ts',
    'jobs/job.ts',
    'jobs/task.ts',
    'type:features',
    'zod',
    'csv-parse',
  ],
  management: [
    ...['errors', 'project-root', 'resilience', 'http', 'observability', 'jobs', 'openapi', 'zod'],
    ...['type:cluster', 'type:db', 'db/database-error.ts'],
  ],
  cluster: [
    'errors',
    'type:cache',
    'concurrency',
    'resilience',
    'settings',
    'observability',
    'limits',
    'zod',
  ],
};

/** The files that put the program together. */
const assembly = new Set([
  'app',
  'cli',
  'declarations',
  'entries',
  'features.ts',
  'main',
  'main-dev',
  'main-jobs',
  'pipeline',
  'program',
  'routes',
]);

/** Further imports of the front file of a feature: it turns settings into options. */
const frontFile = ['type:settings', 'jobs/schedule/schedule.ts'];

/** The imports of the declaration of a feature: the types of the parts that features are made with. */
const featureParts = [
  'type:settings',
  'type:jobs',
  'type:mail',
  'type:features/health',
  'type:features/identity',
];

function mayImport(from: string, { of, typeOnly }: Import): boolean {
  const place = placeOf(from);
  const target = placeOf(of);
  if (assembly.has(place)) return true;
  // The front file is for the list of features alone.
  if (/^features\/.*\/feature\.ts$/.test(of)) return false;
  // The files of a family know its members, which are folders below it.
  if (target === place || (place !== 'features' && target.startsWith(`${place}/`))) return true;
  const allowed = [
    ...(table[place.split('/')[0] ?? ''] ?? []),
    ...(from === 'features/feature.ts' ? featureParts : []),
    ...(/^features\/.*\/feature\.ts$/.test(from) ? frontFile : []),
  ];
  if (place.startsWith('features/') && target.startsWith('features/')) {
    return of === `${target}/${basename(target)}.ts`;
  }
  return allowed.includes(target) || allowed.includes(of) || (typeOnly && allowed.includes(`type:${target}`));
}

describe('a file imports only what its folder may import', () => {
  for (const source of sources) {
    it(source.file, () => {
      const forbidden = source.imports.filter((each) => !mayImport(source.file, each)).map(({ of }) => of);
      assert.deepEqual(forbidden, []);
    });
  }

  it('every folder has a row in the table of allowed imports', () => {
    const places = new Set(sources.map(({ file }) => placeOf(file).split('/')[0] ?? ''));
    const without = [...places].filter((place) => !(place in table) && !assembly.has(place));
    assert.deepEqual(without, []);
  });

  it('no other file imports the files that assemble the program', () => {
    const importers = sources
      .filter(({ file }) => !assembly.has(placeOf(file)))
      .flatMap(({ file, imports }) =>
        imports.filter(({ of }) => assembly.has(placeOf(of))).map(({ of }) => `${file} -> ${of}`),
      );
    assert.deepEqual(importers, []);
  });
});

it('the layers of the pipeline never import one another', () => {
  for (const { file, imports } of sources.filter((each) => each.file.startsWith('middleware/'))) {
    assert.deepEqual(
      imports.filter(({ of }) => of.startsWith('middleware/')),
      [],
      file,
    );
  }
});

it('within a feature, routes import the rules and the rules import the store, never the reverse', () => {
  const rank = (file: string) => {
    return ['store.ts', `${basename(dirname(file))}.ts`, 'routes.ts'].indexOf(basename(file));
  };
  for (const { file, imports } of sources.filter(
    (each) => each.file.startsWith('features/') && rank(each.file) >= 0,
  )) {
    const own = imports.filter(({ of }) => placeOf(of) === placeOf(file) && rank(of) >= 0);
    for (const { of } of own) assert.equal(rank(of), rank(file) - 1, `${file} -> ${of}`);
  }
});

it('no file imports itself through others, not even for its types', () => {
  const edges = new Map(sources.map(({ file, imports }) => [file, imports.map(({ of }) => of)]));
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `A cycle: ${[...path, file].join(' -> ')}`);
    if (finished.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    finished.add(file);
  };
  for (const { file } of sources) visit(file, []);
});

it('every folder has at most 20 files', () => {
  const counts = new Map<string, number>();
  for (const { file } of sources) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  assert.deepEqual(
    [...counts].filter(([, count]) => count > 20),
    [],
  );
});

// A name before `${` is in a template of `npm run new`.
it('each exported name is declared in one file, so that one name has one meaning', () => {
  const declaration =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)(?![\w$])/gm;
  const files = new Map<string, string[]>();
  for (const { file, text } of sources) {
    for (const [, name = ''] of text.matchAll(declaration)) {
      const declaring = files.get(name) ?? [];
      if (!declaring.includes(file)) files.set(name, [...declaring, file]);
    }
  }
  const repeated = [...files].filter(([, declaring]) => declaring.length > 1);
  assert.deepEqual(repeated, []);
});

describe('the process', () => {
  const rules: [what: string, pattern: RegExp, where: RegExp][] = [
    // The exception hides variables from the driver, and reads none.
    [
      'the environment of the process is read only by settings/',
      /\bprocess\.env\b|\bimport\.meta\.env\b/,
      /^(?:settings\/|db\/driver\/driver-environment\.ts)/,
    ],
    // The second of them is the file that was started, and no argument.
    [
      'the arguments of the process are read only by program/process.ts and cli/',
      /\bprocess\.argv\b(?!\[1\])/,
      /^(?:program\/process\.ts|cli\/)/,
    ],
    [
      'the process is ended only by program/process.ts, program/exit-process.ts and cli/',
      /\bprocess\.(?:exit|exitCode|abort|kill\(process\.pid)\b/,
      /^(?:program\/process\.ts|program\/exit-process\.ts|cli\/)/,
    ],
    ['the process is not imported under another name', /from 'node:process'/, /^$/],
  ];
  for (const [what, pattern, where] of rules) {
    it(what, () => {
      const others = sources.filter(
        ({ file, text }) => pattern.test(withoutComments(text)) && !where.test(file),
      );
      assert.deepEqual(
        others.map(({ file }) => file),
        [],
      );
    });
  }

  it('the functions of resilience/ take the time as an argument and never ask for it', () => {
    const pure = sources.filter(({ file }) => file.startsWith('resilience/'));
    const readers = pure.filter(({ text }) =>
      /\bDate\b|\bperformance\b|\bsetTimeout\b|\bMath\.random\(/.test(withoutComments(text)),
    );
    assert.deepEqual(
      readers.map(({ file }) => file),
      [],
    );
  });
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

describe('a source file', () => {
  it('a source file has at most 350 lines', () => {
    const long = sources.filter(({ text }) => text.split('\n').length > 350);
    assert.deepEqual(
      long.map(({ file }) => file),
      [],
    );
  });

  it('a source file has a name in kebab-case that is not a bucket such as utils', () => {
    const buckets = /(?:^|\/)(?:utils?|helpers?|common|types|misc|index)(?:\.ts|\/)/;
    const odd = sources.filter(
      ({ file }) =>
        !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(file) || buckets.test(file),
    );
    assert.deepEqual(
      odd.map(({ file }) => file),
      [],
    );
  });

  it('a source file neither silences the compiler or the linter nor has a TODO', () => {
    const silent = sources.filter(
      ({ text }) =>
        /@ts-(?:ignore|expect-error|nocheck)|\bTODO\b|\bFIXME\b/.test(text) ||
        /\bas any\b/.test(withoutComments(text)),
    );
    assert.deepEqual(
      silent.map(({ file }) => file),
      [],
    );
  });
});

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dependencies?: Readonly<Record<string, string>> }>>;
}

it('exactly the listed packages run in production', () => {
  const { packages }: LockFile = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const closure = new Set<string>();
  // Where a package is found: below the one that needs it, or in a folder above.
  const find = (name: string, below: string): string => {
    const path = `${below}${below === '' ? '' : '/'}node_modules/${name}`;
    if (path in packages) return path;
    assert.notEqual(below, '', `${name} is not in the lock file`);
    return find(name, below.slice(0, Math.max(0, below.lastIndexOf('/node_modules/'))));
  };
  const visit = (path: string): void => {
    for (const name of Object.keys(packages[path]?.dependencies ?? {})) {
      const found = find(name, path);
      if (closure.has(found)) continue;
      closure.add(found);
      visit(found);
    }
  };
  visit('');
  assert.deepEqual(Object.keys(packages['']?.dependencies ?? {}).sort(), ['pino', 'postgres', 'zod']);
  assert.deepEqual([...closure].map((path) => path.slice('node_modules/'.length)).sort(), [
    '@pinojs/redact',
    'atomic-sleep',
    'on-exit-leak-free',
    'pino',
    'pino-abstract-transport',
    'pino-std-serializers',
    'postgres',
    'process-warning',
    'quick-format-unescaped',
    'real-require',
    'safe-stable-stringify',
    'sonic-boom',
    'split2',
    'thread-stream',
    'zod',
  ]);
});
