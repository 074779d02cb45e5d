/**
 * `npm run doctor`: checks a configuration against its real environment, and prints everything that is wrong at once, each with
 * what to change. The environment and `.env` are read as at a start, and nothing is changed.
 *
 *     exit code 0     nothing to do
 *     exit code 1     a fault: the program would not start, or would not work as the settings require
 *     exit code 2     no fault, but advice
 */

import { reasonOf, StartError } from '../errors.ts';
import type { Settings } from '../settings/load.ts';
import { certificateSources, checkCertificate } from './doctor/check-certificates.ts';
import { checkDatabaseOf } from './doctor/check-database.ts';
import { checkFiles, checkMemory, checkNode, checkTimeZones } from './doctor/check-machine.ts';
import { checkForwarding, checkProxy } from './doctor/check-proxy.ts';
import { checkRedisOf } from './doctor/check-redis.ts';
import { checkSettings } from './doctor/check-settings.ts';
import { createFindings, type Finding } from './doctor/finding.ts';
import { type DoctorOptions, readDoctorOptions } from './doctor/options.ts';

/** Faults first, then advice, then what is fine. */
const order = { fault: 0, advice: 1, fine: 2 } as const;

try {
  const options = readDoctorOptions(process.argv.slice(2));
  const findings = await examine(options);
  process.stdout.write(options.isJson ? `${JSON.stringify({ findings }, null, 2)}\n` : render(findings));
  process.exitCode = exitCodeOf(findings);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function examine(options: DoctorOptions): Promise<readonly Finding[]> {
  const now = new Date();
  const today = now.toISOString().slice(0, 10);
  const { loaded, findings } = checkSettings();
  const ofMachine = [
    ...checkNode(process.version, today),
    ...checkTimeZones(process.versions.tz, now.getUTCFullYear()),
  ];
  if (loaded === undefined) {
    const rest = createFindings('everything else');
    rest.advise('Not checked: correct the settings first, and run this command again.');
    return [...findings, ...ofMachine, ...rest.list];
  }
  const { settings } = loaded;
  const checked = await Promise.all([
    settled('database', checkDatabaseOf(settings, options.nodes, today)),
    settled('Redis', checkRedisOf(settings)),
    ...certificateSources(settings).map((source) => checkCertificate(source, now.getTime())),
    settled('forwarded headers', checkForwarding(settings)),
  ]);
  return [
    ...findings,
    ...ofMachine,
    ...checkLimits(settings),
    ...checkProxy(settings, options.proxyKeepAliveSeconds),
    ...checked.flat(),
  ];
}

function checkLimits(settings: Settings): readonly Finding[] {
  return [...checkFiles(settings), ...checkMemory(settings)];
}

/** Turns an error of a check itself into a finding, so that the others are still printed. */
function settled(subject: string, check: Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  return check.catch((error: unknown) => {
    const found = createFindings(subject);
    found.fault(`This could not be checked: ${reasonOf(error)}.`);
    return found.list;
  });
}

function render(findings: readonly Finding[]): string {
  const sorted = findings.toSorted((a, b) => order[a.severity] - order[b.severity]);
  const width = Math.max(...sorted.map(({ subject }) => subject.length));
  const lines = sorted.map(
    ({ severity, subject, text }) => `${severity.padEnd(6)}  ${subject.padEnd(width)}  ${text}`,
  );
  const count = (severity: Finding['severity']) =>
    findings.filter((each) => each.severity === severity).length;
  const faults = count('fault');
  const advice = count('advice');
  const sum =
    faults + advice === 0
      ? 'Nothing to do.'
      : `${faults === 1 ? '1 fault' : `${faults} faults`}, ${advice === 1 ? '1 piece of advice' : `${advice} pieces of advice`}.`;
  return `${[...lines, '', sum].join('\n')}\n`;
}

function exitCodeOf(findings: readonly Finding[]): number {
  if (findings.some(({ severity }) => severity === 'fault')) return 1;
  return findings.some(({ severity }) => severity === 'advice') ? 2 : 0;
}
