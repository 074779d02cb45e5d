import type { Mail, Mailer } from '../../src/mail/mailer.ts';
import { note } from './secret-watch.ts';

export interface CapturedMail extends Mailer {
  /** Every mail so far. */
  readonly sent: readonly Mail[];
  /**
   * Resolves with the next mail to the address whose subject matches and that no earlier call has returned. Fails the test
   * if none arrives within 10 s.
   */
  mustReceive(to: string, subject?: RegExp): Promise<Mail>;
}

const timeoutMs = 10_000;

/** Creates a mailer that keeps the mails. Their tokens are secrets that must not appear in a log. */
export function captureMail(): CapturedMail {
  const sent: Mail[] = [];
  const received = new Set<Mail>();
  const waiting = new Set<() => void>();

  return {
    sent,
    async send(mail) {
      sent.push(mail);
      for (const [token] of mail.text.matchAll(/\b(?:srt|sak|sot)_[\w-]+/g)) note(token);
      for (const look of waiting) look();
    },
    async close() {},
    mustReceive(to, subject = /^/) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = sent.find(
            (mail) => mail.to === to && subject.test(mail.subject) && !received.has(mail),
          );
          if (found === undefined) return;
          received.add(found);
          finish();
          resolve(found);
        };
        const finish = () => {
          waiting.delete(look);
          clearTimeout(timer);
        };
        const timer = setTimeout(() => {
          finish();
          const subjects = sent.map((mail) => `${mail.to}: ${mail.subject}`).join('\n');
          reject(new Error(`No mail to ${to} with ${subject} came within 10 s, only:\n${subjects}`));
        }, timeoutMs);
        waiting.add(look);
        look();
      });
    },
  };
}
