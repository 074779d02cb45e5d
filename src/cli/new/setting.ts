import { StartError } from '../../errors.ts';
import { camelCase } from './name.ts';
import { insertBefore, type ProjectFiles } from './project-files.ts';

const kinds: Readonly<Record<string, { readonly kind: string; readonly value: string }>> = {
  text: { kind: 'boundedText(200)', value: 'A text' },
  integer: { kind: 'integer(0, 1_000_000)', value: '10' },
  boolean: { kind: 'boolean()', value: 'false' },
};

/** Declares a setting of the group `application`. Throws a StartError for an invalid or taken name, or an unknown type. */
export function addSetting(files: ProjectFiles, name: string, type: string): void {
  if (!/^APP_[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/.test(name) || name.length > 60) {
    throw new StartError(`"${name}" cannot name a setting: use upper-case words such as APP_GREETING.`);
  }
  const found = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (found === undefined) {
    throw new StartError(`"${type}" is no type of a setting: use ${Object.keys(kinds).join(', ')}.`);
  }
  const folder = 'src/settings/groups';
  for (const file of files.list(folder)) {
    if (new RegExp(`'${name}'`).test(files.read(`${folder}/${file}`))) {
      throw new StartError(`${folder}/${file} has the setting ${name} already: use another name.`);
    }
  }
  const property = camelCase(name.slice('APP_'.length).toLowerCase());
  files.edit(`${folder}/application.ts`, (text) => {
    if (new RegExp(`^ {2}${property}: `, 'm').test(text)) {
      throw new StartError(
        `${folder}/application.ts has the property ${property} already: use another name.`,
      );
    }
    return insertBefore(
      text,
      '\n});\n',
      `
  ${property}: variable('${name}', ${found.kind}, {
    default: '${found.value}',
    about: 'Describe here what ${name} changes.',
  }),`,
    );
  });
}
