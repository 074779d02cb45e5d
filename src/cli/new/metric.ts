import { StartError } from '../../errors.ts';
import { readSnakeName, wordsOf } from './name.ts';
import type { ProjectFiles } from './project-files.ts';

/**
 * Declares a counter in the front file of the feature that its name begins with. Throws a StartError for an invalid name,
 * or if there is no such feature with routes.
 */
export function addMetric(files: ProjectFiles, name: string): void {
  const example = 'posts_archived_total';
  readSnakeName(name, 'metric', example);
  const [feature = '', ...rest] = name.split('_');
  if (rest.length < 2 || rest.at(-1) !== 'total') {
    throw new StartError(
      `"${name}" cannot name a counter: use the name of a feature, what is counted, and total, such as ${example}.`,
    );
  }
  const front = `src/features/${feature}/feature.ts`;
  if (!files.exists(front)) {
    throw new StartError(
      `"${name}" begins with no feature, because ${front} does not exist: use the name of one.`,
    );
  }
  const statement = `
    // Pass this series to the code that counts, which calls add().
    metrics.counter({ name: '${name}', help: 'Counts ${wordsOf(rest.slice(0, -1).join('_'))} ${feature}.' }).of();`;
  files.edit(front, (text) => {
    if (text.includes(`'${name}'`))
      throw new StartError(`${front} declares ${name} already: use another name.`);
    const head = /routes\(\{([^}]*)\}\) \{/.exec(text);
    if (head === null) return undefined;
    const parts = (head[1] ?? '').split(',').map((part) => part.trim());
    const names = [...new Set([...parts.filter((part) => part !== ''), 'metrics'])].join(', ');
    return text.replace(head[0], `routes({ ${names} }) {${statement}`);
  });
}
