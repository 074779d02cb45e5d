/**
 * Enforces the rules of `docs/architecture.md` by reading the import lines of `src/`: which folder may import which, that no
 * imports run in a circle, that only settings read the environment, the maximum length of a file, and the packages of
 * production. The page is the only list of allowed imports: this test reads the table "The source tree" there.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
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

/** Returns every import, re-export, `import()`, `require()` and `require.resolve()` of a file, except those of Node's own modules. */
function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  const statement = /^(import|export)( type)?\b(?:[^;'"]*?from)? '([^']+)'/gm;
  for (const [, , type, specifier = ''] of text.matchAll(statement)) {
    found.push({ of: resolve(file, specifier), typeOnly: type !== undefined });
  }
  const call =
    /\b(typeof )?(?:import|require|createRequire\(import\.meta\.url\)(?:\.resolve)?)\('([^']+)'\)/g;
  for (const [, type, specifier = ''] of text.matchAll(call)) {
    found.push({ of: resolve(file, specifier), typeOnly: type !== undefined });
  }
  return found.filter(({ of }) => !of.startsWith('node:'));
}

function resolve(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return relative(root, join(root, dirname(file), specifier));
  return /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
}

/** Returns the folder of a file: the top one, or below `features/` the folder that holds the file. */
function placeOf(file: string): string {
  const [top = ''] = file.split('/');
  return top === 'features' ? dirname(file) : top;
}

/** Files and folders of `src/` with what they may import: a row of the table in `docs/architecture.md`. */
interface Row {
  /** A file, a folder with a slash, or one of the rows of `features/`. */
  readonly names: readonly string[];
  readonly contents: string;
  readonly allowances: readonly string[];
}

const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const table = page.split('| may import |\n')[1]?.split('\n\n')[0] ?? '';
const rows: readonly Row[] = table
  .split('\n')
  .slice(1)
  .map((line) => {
    const [names = '', contents = '', allowed = ''] = line.slice(2, -2).split(' | ');
    return {
      names: names.replaceAll('`', '').split(', '),
      contents,
      allowances: allowed.replaceAll('`', '').split(/[,;] (?:and )?/),
    };
  });

function rowNameOf(file: string): string {
  if (!file.startsWith('features/')) return file.includes('/') ? `${placeOf(file)}/` : file;
  if (file === 'features/feature.ts') return file;
  return basename(file) === 'feature.ts' ? 'features/x/feature.ts' : 'features/x/';
}

function allowancesOf(name: string): readonly string[] {
  return rows.find(({ names }) => names.includes(name))?.allowances ?? [];
}

const manifest: {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** The allowances that the table words as a rule, not as the name of a folder, a file or a package. */
const rules: Readonly<Record<string, (from: string, of: string) => boolean>> = {
  everything: () => true,
  nothing: () => false,
  'of another feature only the file named after it': (from, of) => {
    const other = placeOf(of);
    return (
      other.startsWith('features/') && other !== placeOf(from) && of === `${other}/${basename(other)}.ts`
    );
  },
  // So that a package leaves with the feature that needs it, and no page of the core names it.
  'optional packages that its README.md names': (from, of) => {
    const about = join(root, 'src', placeOf(from), 'README.md');
    return (
      of in manifest.optionalDependencies &&
      existsSync(about) &&
      readFileSync(about, 'utf8').includes(`\`${of}\``)
    );
  },
};

/** Returns the names that the table may use for a file of `src/` or a package: `db/database.ts`, `db`; `errors`; `zod`. */
function targetsOf(of: string): readonly string[] {
  return [of, of.includes('/') ? placeOf(of) : of.replace(/\.ts$/, '')];
}

function allows(allowance: string, from: string, { of, typeOnly }: Import): boolean {
  const [, row] = /^as (.+)$/.exec(allowance) ?? [];
  if (row !== undefined) return allowancesOf(row).some((each) => allows(each, from, { of, typeOnly }));
  const rule = rules[allowance];
  if (rule !== undefined) return rule(from, of);
  const [, types] = /^types of (.+)$/.exec(allowance) ?? [];
  return types === undefined ? targetsOf(of).includes(allowance) : typeOnly && targetsOf(of).includes(types);
}

function mayImport(from: string, each: Import): boolean {
  const [place, target] = [placeOf(from), placeOf(each.of)];
  const allowances = allowancesOf(rowNameOf(from));
  if (allowances.includes('everything')) return true;
  // The front file is for the list of features alone.
  if (rowNameOf(each.of) === 'features/x/feature.ts') return false;
  // The files of a family know its members, which are folders below it.
  const own = target === place || (place !== 'features' && target.startsWith(`${place}/`));
  return (own && each.of.includes('/')) || allowances.some((allowance) => allows(allowance, from, each));
}

/** The files that put the program together may import everything. */
function assembles(file: string): boolean {
  return allowancesOf(rowNameOf(file)).includes('everything');
}

describe('a file imports only what the table in docs/architecture.md allows', () => {
  for (const source of sources) {
    it(source.file, () => {
      const forbidden = source.imports.filter((each) => !mayImport(source.file, each)).map(({ of }) => of);
      assert.deepEqual(forbidden, []);
    });
  }

  it('every file and folder of src/ has exactly one row in the table, and every row has a file or folder', () => {
    const listed = rows.flatMap(({ names }) => names).sort();
    assert.deepEqual(listed, [...new Set(sources.map(({ file }) => rowNameOf(file)))].sort());
  });

  it('every folder that a row of the table describes is in the folder of the row', () => {
    const missing = rows.flatMap(({ names: [folder = ''], contents }) =>
      [...contents.matchAll(/`([\w-]+\/)`/g)]
        .map(([, name = '']) => join('src', folder, name))
        .filter((path) => !existsSync(join(root, path))),
    );
    assert.deepEqual(missing, []);
  });

  it('every import that the table allows is a row, a file of src/, a package or a known rule', () => {
    const { dependencies, optionalDependencies, devDependencies } = manifest;
    const known = new Set([
      ...Object.keys({ ...rules, ...dependencies, ...optionalDependencies, ...devDependencies }),
      ...rows.flatMap(({ names }) => names.flatMap((name) => [name.replace(/\/$|\.ts$/, ''), `as ${name}`])),
      ...sources.map(({ file }) => file),
    ]);
    const unknown = rows.flatMap(({ allowances }) =>
      allowances.filter((each) => !known.has(each.replace(/^types of /, ''))),
    );
    assert.deepEqual(unknown, []);
  });

  // The rows of features are an offer: deleting the only feature that uses something changes no page.
  it('every import that the table allows to the core is used, and not only for its types', () => {
    const unused = rows
      .filter(({ names }) => !names.some((name) => name.startsWith('features/')))
      .flatMap(({ names, allowances }) => {
        const own = sources.filter(({ file }) => names.includes(rowNameOf(file)));
        const isUsed = (allowance: string) =>
          own.some(({ file, imports }) =>
            imports.some((each) => {
              const typeOnly = each.typeOnly && !allowance.startsWith('types of ');
              return !typeOnly && allows(allowance, file, each);
            }),
          );
        return allowances
          .filter((allowance) => !(allowance in rules) && !isUsed(allowance))
          .map((allowance) => `${names.join(', ')}: ${allowance}`);
      });
    assert.deepEqual(unused, []);
  });

  it('no other file imports the files that assemble the program', () => {
    const importers = sources
      .filter(({ file }) => !assembles(file))
      .flatMap(({ file, imports }) =>
        imports.filter(({ of }) => assembles(of)).map(({ of }) => `${file} -> ${of}`),
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

/** The sources of the project with those of its tests and benchmarks. */
const allTexts: readonly { readonly file: string; readonly text: string }[] = ['src', 'test', 'bench']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  )
  .filter((file) => file.endsWith('.ts') && !/(?:^|\/)(?:node_modules|built)\//.test(file))
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));

// A name before `${` is in a template of `npm run new`.
it('each exported name of src, test and bench is declared in one file, so that one name has one meaning', () => {
  const declaration =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)(?![\w$])/gm;
  const files = new Map<string, string[]>();
  for (const { file, text } of allTexts) {
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
  it('a source file has at most 350 lines, except the list of layers, which grows with each of them', () => {
    const long = sources.filter(({ file, text }) => file !== 'pipeline.ts' && text.split('\n').length > 350);
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
