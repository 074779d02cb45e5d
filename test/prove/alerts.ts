/**
 * `npm run prove -- alerts`: Prometheus' own tool reads the files in `deploy/prometheus/`, and runs the alerts against
 * made-up series: what must fire does, and a quiet service fires nothing. It comes with Debian's package `prometheus`.
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
