/**
 * Shared by all resources whose representation is a row with an id and a version: 404 for a missing row, the check of
 * `If-Match`, and replies with an entity tag. The version grows with each change, so the tag of a row is made of both.
 */

import { AppError } from '../../errors.ts';
import { versionTag } from '../headers/conditional.ts';
import { created, ok } from '../reply.ts';

export interface VersionedRow {
  readonly id: number;
  readonly version: number;
}

/** Whether the caller wants the change at this version; `versionCondition` in parameters.ts makes it from the request. */
export type VersionCondition = (version: number) => boolean;

/** Returns the row. Throws an AppError `not_found` if there is none; `noun` names the resource, such as `user`. */
export function found<Row>(row: Row | undefined, noun: string, id: number): Row {
  if (row === undefined) throw notFound(noun, id);
  return row;
}

/** Returns the error of a resource that does not exist, or that the caller must not know of. */
export function notFound(noun: string, id: number): AppError {
  return new AppError('not_found', `There is no ${noun} with the id ${id}.`);
}

/** Throws an AppError `precondition_failed` unless the caller wants the change at this version of the row. */
export function assertVersion(
  { version }: Pick<VersionedRow, 'version'>,
  condition: VersionCondition,
  noun: string,
): void {
  if (condition(version)) return;
  throw new AppError(
    'precondition_failed',
    `The ${noun} has another version than If-Match or If-None-Match requires: read it again, and repeat the request with its ETag.`,
  );
}

/** The header fields of the replies below, for the `responses` of a route. */
export const shownHeaders = { ETag: 'The version, for `If-Match` and `If-None-Match`.' };
export const createdHeaders = { Location: 'The path of the new resource.', ...shownHeaders };

/** Returns the replies for the rows of a collection at `path`, such as `/api/v1/users`. */
export function rowReplies<Row extends VersionedRow>(path: string) {
  const headersOf = ({ id, version }: Row) => ({ etag: versionTag(id, version) });
  return {
    /** 200 with the row. */
    shown: (row: Row) => ok(row, headersOf(row)),
    /** 201 with the row and where it is. */
    created: (row: Row) => created(row, `${path}/${row.id}`, headersOf(row)),
  };
}
