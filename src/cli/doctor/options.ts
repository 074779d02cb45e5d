import { parseArgs } from 'node:util';
import { StartError } from '../../errors.ts';

export interface DoctorOptions {
  readonly isJson: boolean;
  /** The number of machines that run the server with these settings. */
  readonly nodes: number;
  /** How long the proxy in front keeps an idle connection to this server, in seconds. */
  readonly proxyKeepAliveSeconds: number;
}

const usage = `Usage: npm run doctor -- [--json] [--nodes 3] [--proxy-keep-alive 60]

  --nodes              the number of machines that run the server (1)
  --proxy-keep-alive   how long the proxy in front keeps an idle connection to the server, in seconds (60, as nginx does)
  --json               print the findings as JSON`;

/** Reads the command line. Throws a StartError with the usage. */
export function readDoctorOptions(args: readonly string[]): DoctorOptions {
  const values = parse(args);
  return {
    isJson: values.json === true,
    nodes: positive(values.nodes ?? '1'),
    proxyKeepAliveSeconds: positive(values['proxy-keep-alive'] ?? '60'),
  };
}

function parse(args: readonly string[]) {
  try {
    const options = {
      json: { type: 'boolean' },
      nodes: { type: 'string' },
      'proxy-keep-alive': { type: 'string' },
    } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch {
    throw new StartError(usage);
  }
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new StartError(usage);
  return Number(text);
}
