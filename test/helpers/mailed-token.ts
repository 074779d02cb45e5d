import type { TestApi } from './test-api.ts';

/** Returns the token of the next mail to an address with a matching subject. */
export async function mustReceiveToken({ app }: TestApi, to: string, subject: RegExp): Promise<string> {
  const { text } = await app.mails.mustReceive(to, subject);
  const [token] = /\bsot_[\w-]{43}(?![\w-])/.exec(text) ?? [];
  if (token === undefined) throw new Error(`There is no token in this mail:\n${text}`);
  return token;
}
