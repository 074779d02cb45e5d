/**
 * `npm run prove -- alerts`: promtool checks the files in `deploy/prometheus/`, and evaluates the alerts with made-up series:
 * each alert fires when it must, and a healthy service fires none. Debian's package `prometheus` contains promtool.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../../deploy/prometheus');

check('the configuration is valid', ['check', 'config', 'prometheus.yml']);
check('the rules are valid', ['check', 'rules', 'rules.yml']);
check('each alert fires when it must, and only then', ['test', 'rules', 'rules-test.yml']);

function check(what: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' });
  if (status === 0) {
    console.log(`ok  ${what}`);
    return;
  }
  console.error(`FAILED: ${what}.\n${stdout}${stderr}`);
  process.exitCode = 1;
}
