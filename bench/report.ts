/**
 * `npm run bench -- report`: the newest results of each kind become `bench/results/latest-<kind>.json`, and these become
 * `bench/README.md` and `bench/charts/`. The copies are committed with the page; what they are copied from is not.
 */

import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { jobsResultsSchema } from './jobs/results.ts';
import { layerResultsSchema } from './layer-prices.ts';
import { type Found, renderReportPage } from './report-page.ts';
import { findNewestResults, readResults, resultsFolder, resultsSchema } from './results.ts';
import { tableResultsSchema } from './table-results.ts';

const dated = z.object({ date: z.iso.datetime() });

const kinds = ['main', 'layers', 'micro', 'jobs'] as const;

/** Throws a StartError if results cannot be read. */
export function writeReport(folder = import.meta.dirname): void {
  const results = join(folder, 'results');
  for (const kind of kinds) keepNewest(kind, results);
  const { page, charts } = renderReportPage(readLatest(results));
  const pictures = join(folder, 'charts');
  rmSync(pictures, { recursive: true, force: true });
  if (charts.length > 0) mkdirSync(pictures);
  for (const { file, svg } of charts) writeFileSync(join(pictures, file), svg);
  writeFileSync(join(folder, 'README.md'), page);
}

/** The parts of the page. */
export function readLatest(folder = resultsFolder): Found {
  return {
    main: read('main', resultsSchema, folder),
    layers: read('layers', layerResultsSchema, folder),
    micro: read('micro', tableResultsSchema, folder),
    jobs: read('jobs', jobsResultsSchema, folder),
  };
}

/** The copy may be newer than any run on this machine: then it came from another one, and stays. */
function keepNewest(kind: string, folder: string): void {
  const newest = findNewestResults(kind, folder);
  const latest = latestFile(kind, folder);
  if (newest === undefined) return;
  if (existsSync(latest) && dateOf(latest) >= dateOf(newest)) return;
  copyFileSync(newest, latest);
}

function read<Kind>(kind: string, schema: z.ZodType<Kind>, folder: string): Kind | undefined {
  const file = latestFile(kind, folder);
  return existsSync(file) ? readResults(file, schema) : undefined;
}

function latestFile(kind: string, folder: string): string {
  return join(folder, `latest-${kind}.json`);
}

function dateOf(file: string): number {
  return Date.parse(readResults(file, dated).date);
}
