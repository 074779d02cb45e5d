import { StartError } from '../../errors.ts';
import { camelCase, pascalCase, readKebabName } from './name.ts';
import { insertBefore, insertSorted, type ProjectFiles } from './project-files.ts';

/** A new layer runs before this one: the caller is known then, and the body is not read yet. */
const next = 'content-validation';

/** Adds a layer that sets a response header, with its place in the pipeline. Throws a StartError for an invalid or taken name. */
export function addLayer(files: ProjectFiles, name: string): void {
  readKebabName(name, 'layer');
  const factory = camelCase(name);
  if (['ctx', 'next', 'value'].includes(factory)) {
    throw new StartError(`"${name}" is a name in the code of every layer: use another name.`);
  }
  const options = `${pascalCase(name)}Options`;
  const header = `x-${name}`;
  if (new RegExp(`\\b${factory}\\b`).test(files.read('src/pipeline.ts'))) {
    throw new StartError(`src/pipeline.ts uses the name ${factory} already: use another name.`);
  }
  files.add(
    `src/middleware/${name}.ts`,
    `import type { Middleware } from '../http/context.ts';

export interface ${options} {
  /** The value of the response header \`${header}\`. */
  readonly value: string;
}

/** Sets the response header \`${header}\`. Replace it with what the layer is for. */
export function ${factory}({ value }: ${options}): Middleware {
  return function ${factory}(ctx, next) {
    ctx.headers['${header}'] = value;
    return next(ctx);
  };
}
`,
  );
  files.add(
    `test/middleware/${name}.test.ts`,
    `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mustStartApp } from '../helpers/test-app.ts';

test('the layer ${name} sets its header', async (t) => {
  const { api } = await mustStartApp(t);
  assert.equal((await fetch(\`\${api}/meta\`)).headers.get('${header}'), 'on');
});

test('a program without the layer ${name} does not set its header', async (t) => {
  const { api } = await mustStartApp(t, { env: { APP_DISABLED_LAYERS: '${name}' } });
  assert.equal((await fetch(\`\${api}/meta\`)).headers.get('${header}'), null);
});
`,
  );
  files.edit('src/settings/layer-names.ts', (text) => insertBefore(text, `  '${next}',\n`, `  '${name}',\n`));
  files.edit('test/app.test.ts', (text) => insertBefore(text, `      '${next}',\n`, `      '${name}',\n`));
  files.edit('src/pipeline.ts', (text) => {
    const imported = insertSorted(
      text,
      /^import .* from '\.\/middleware\//,
      `import { ${factory} } from './middleware/${name}.ts';`,
    );
    if (imported === undefined) return undefined;
    const entry = /\n {4}\{\n {6}name: 'content-validation',/.exec(imported);
    // The fields that describe a layer, as the entry of its neighbour has them.
    const described =
      entry === null ? '' : imported.slice(entry.index + 1, imported.indexOf('run:', entry.index));
    if (described === '') return undefined;
    const fields = [...described.matchAll(/^ {6}(\w+): /gm)].map(([, field]) => field ?? '');
    const values: Readonly<Record<string, string>> = { name, purpose: `Sets the header ${header}` };
    const lines = fields.map((field) => `      ${field}: '${values[field] ?? '-'}',`).join('\n');
    return `${imported.slice(0, entry?.index)}
    {
${lines}
      run: ${factory}({ value: 'on' }),
    },${imported.slice(entry?.index)}`;
  });
}
