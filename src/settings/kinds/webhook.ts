/** The kinds of values for alerts: the webhook, and the page of runbooks. */

import { kind, reject } from './kind.ts';

/** The URL of a webhook; empty if there is none. */
export const webhookUrl = () =>
  kind(
    'a URL such as https://hooks.example.com/services/T0/B0/x, without a user name, a password or #',
    (text) => {
      if (text === '') return text;
      const url = URL.canParse(text) ? new URL(text) : reject();
      const isPlain = url.username === '' && url.password === '' && !text.includes('#');
      return /^https?:$/.test(url.protocol) && isPlain ? text : reject();
    },
  );

/** A path or a URL, to which the fragment of a runbook is appended. */
export const runbookBase = () =>
  kind('a path or a URL of at most 500 characters, without spaces, #, < or >', (text) =>
    /^[^\s#<>\p{Cc}]{1,500}$/u.test(text) ? text : reject(),
  );
