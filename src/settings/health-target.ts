import type * as z from 'zod';
import { findManagementPort } from './groups/management.ts';
import { findText, openSources, type SettingsSource } from './sources.ts';
import { settingsSchema, variables } from './table.ts';
import { notesOf } from './variable.ts';

/** Where a running program answers health checks. */
export interface HealthTarget {
  /** The address that the port listens on. */
  readonly host: string;
  /** 0 if the program has chosen a free port. */
  readonly port: number;
  readonly paths: { readonly live: string; readonly ready: string };
}

/**
 * Finds the port that answers health checks: the management port, or the public one if that is off. Reads only these
 * settings, because a health check must not fail for a secret file that has changed since the start. Throws a StartError if
 * `.env` cannot be read.
 */
export function findHealthTarget(source: SettingsSource = {}): HealthTarget {
  const sources = openSources(source);
  const { application, server } = settingsSchema.shape;

  /** Returns the value of a setting; if it is invalid, its default. */
  function read<Kind extends z.ZodType>(kind: Kind): z.output<Kind> {
    const { name } = notesOf(kind);
    const variable = variables.find((each) => each.name === name);
    if (variable === undefined) throw new Error(`${name} is in no group.`);
    const parsed = kind.safeParse(findText(variable, sources, []).text);
    return parsed.success ? parsed.data : kind.parse(variable.default);
  }

  const { managementPort, managementHost, host, port } = server.shape;
  const management = findManagementPort(read(managementPort), read(application.shape.environment));
  if (management !== null) {
    return {
      host: read(managementHost),
      port: management.port,
      paths: { live: '/livez', ready: '/readyz' },
    };
  }
  const health = `${read(application.shape.apiPrefix)}/health`;
  return {
    host: read(host),
    port: read(port),
    paths: { live: `${health}/live`, ready: `${health}/ready` },
  };
}
