import { findText, openSources, type SettingsSource } from './sources.ts';
import { variables } from './table.ts';

/** The settings on which the form of a start error depends, as texts that are not checked. */
export interface UncheckedSettings {
  readonly projectName: string;
  readonly environment: string;
  readonly logFormat: string;
}

/** Reads these settings, whether or not the others are valid. Never throws. */
export function readUnchecked(source: SettingsSource = {}): UncheckedSettings {
  const sources = openReadable(source);
  const textOf = (name: string) => {
    const variable = variables.find((each) => each.name === name);
    return variable === undefined ? '' : findText(variable, sources, []).text;
  };
  return {
    projectName: textOf('APP_PROJECT_NAME'),
    environment: textOf('APP_ENVIRONMENT').toLowerCase(),
    logFormat: textOf('APP_LOG_FORMAT').toLowerCase(),
  };
}

function openReadable(source: SettingsSource) {
  try {
    return openSources(source);
  } catch {
    return openSources({ ...source, envFile: null });
  }
}
