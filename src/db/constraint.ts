import { sqlState } from './database-error.ts';

/**
 * The name of the constraint that a statement broke (SQLSTATE class 23), or undefined for any other error. The rule
 * itself stands in the table, where no race gets past it; the feature that owns the table knows what its name means.
 */
export function brokenConstraint(error: unknown): string | undefined {
  if (!sqlState(error)?.startsWith('23')) return undefined;
  if (!(error instanceof Error) || !('constraint_name' in error)) return undefined;
  return typeof error.constraint_name === 'string' ? error.constraint_name : undefined;
}
