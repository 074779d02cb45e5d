import { statSync } from 'node:fs';
import { StartError } from '../../errors.ts';
import { type LoadedSettings, loadSettings, type SettingsSource } from '../../settings/load.ts';
import { createFindings, type Finding } from './finding.ts';

/**
 * Loads the settings as a start does. Each error is a fault and each warning a piece of advice. `loaded` is undefined if the
 * program would not start.
 */
export function checkSettings(source?: SettingsSource): {
  readonly loaded: LoadedSettings | undefined;
  readonly findings: readonly Finding[];
} {
  const found = createFindings('settings');
  let loaded: LoadedSettings;
  try {
    loaded = loadSettings(source);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    for (const line of error.message.split('\n')) if (line.trim() !== '') found.fault(line.trim());
    return { loaded: undefined, findings: found.list };
  }
  for (const warning of loaded.warnings) found.advise(warning);
  for (const path of secretFiles(loaded)) {
    if (isReadableByOthers(path)) {
      found.advise(
        `Every user of this machine can read ${path}, which contains secrets: run \`chmod 600 ${path}\`.`,
      );
    }
  }
  if (found.list.length === 0)
    found.fine(`The settings of ${loaded.settings.application.environment} are consistent.`);
  return { loaded, findings: found.list };
}

/** Returns the files that the settings were read from: `.env`, and those of secrets. */
function secretFiles({ origins }: LoadedSettings): ReadonlySet<string> {
  const paths = origins.flatMap(({ origin, file }) => {
    if (file !== undefined) return [file.path];
    return origin === '.env' ? ['.env'] : [];
  });
  return new Set(paths);
}

function isReadableByOthers(path: string): boolean {
  try {
    return process.platform !== 'win32' && (statSync(path).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}
