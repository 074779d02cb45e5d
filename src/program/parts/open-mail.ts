import { join } from 'node:path';
import type { HealthCheck } from '../../features/health/health.ts';
import { createFileMailer } from '../../mail/file-mailer.ts';
import { createMailCircuits, guardMailer } from '../../mail/guarded-mailer.ts';
import { createMailQueue, type MailQueue, noMail } from '../../mail/mail-queue.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { createSmtpMailer } from '../../mail/smtp-mailer.ts';
import {
  type CircuitMetrics,
  type CircuitSet,
  createCircuitMetrics,
} from '../../observability/circuit-set.ts';
import type { Logger } from '../../observability/logger.ts';
import { createMetrics } from '../../observability/metrics/metrics.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';

/** How long the process waits for queued mails to be sent when it stops. */
const graceMs = 3_000;

export interface OpenedMail {
  readonly mail: MailQueue;
  readonly check: HealthCheck;
}

export interface MailParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly circuitMetrics: CircuitMetrics;
  readonly lifecycle: Lifecycle;
  /** Replaces the mailer of the settings; null disables mail. */
  readonly mailer?: Mailer | null | undefined;
}

/**
 * Opens the mail queue. Mail goes to the mail server of the settings; without one, to files in local and test, and nowhere
 * in staging and production. Rejects with a StartError.
 */
export async function openMail({
  settings,
  log,
  circuitMetrics,
  lifecycle,
  mailer,
}: MailParts): Promise<OpenedMail> {
  const mailLog = log.named('mail');
  const transport = mailer === undefined ? await chooseMailer(settings, mailLog) : mailer;
  if (transport === null) return { mail: noMail, check: { name: 'mail', required: false, run: undefined } };
  const circuits = createMailCircuits({ log: mailLog, metrics: circuitMetrics });
  const mail = await lifecycle.open(
    'mail',
    async () => createMailQueue({ mailer: transport, log: mailLog, circuits }),
    (queue) => queue.stop(graceMs),
    graceMs + 1000,
  );
  return { mail, check: mailCheck(circuits) };
}

/** Reports a mail server that fails; the server does the rest of its work. */
function mailCheck(circuits: CircuitSet): HealthCheck {
  return {
    name: 'mail',
    required: false,
    run: async () =>
      circuits.openNames().length === 0
        ? undefined
        : { degraded: 'The mail server fails, so mails wait until it accepts one.' },
  };
}

/** Creates the mailer of the settings with its circuit, for a thread that runs tasks; null if there is none. */
export async function chooseGuardedMailer(settings: Settings, log: Logger): Promise<Mailer | null> {
  const mailer = await chooseMailer(settings, log);
  if (mailer === null) return null;
  return guardMailer(mailer, createMailCircuits({ log, metrics: createCircuitMetrics(createMetrics()) }));
}

/** Creates the mailer of the settings, null if there is none; see `openMail`. */
async function chooseMailer({ application }: Settings, log: Logger): Promise<Mailer | null> {
  const { environment, smtpUrl, mailFrom, dataDir } = application;
  if (smtpUrl !== '') return createSmtpMailer({ url: smtpUrl, from: mailFrom, log });
  if (environment === 'staging' || environment === 'production') return null;
  return createFileMailer({ folder: join(dataDir, 'mail'), from: mailFrom, log });
}
