import { cutText } from './log-text.ts';
import { maskForms, redacted } from './mask-forms.ts';
import { isSecretName, maskEmail, maskEmails, redactQuery } from './redact.ts';

/** The maximum length of the preview, in characters. */
const previewLength = 256;

/**
 * Returns the beginning of a body for a debug line. JSON objects and forms are masked by name, then cut. Other bodies have
 * no names to mask by, so only their type and size are shown. E-mail addresses and credentials are masked under any name,
 * since users also sign in with their address as the username.
 */
export function previewBody(bytes: Buffer, mediaType: string | undefined): string {
  if (mediaType === 'application/json' || mediaType?.endsWith('+json')) {
    try {
      const value: unknown = JSON.parse(bytes.toString());
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        return `[${bytes.length} bytes of JSON that is no object]`;
      return cut(JSON.stringify(value, maskMember));
    } catch {
      return `[${bytes.length} bytes of malformed JSON]`;
    }
  }
  if (mediaType === 'application/x-www-form-urlencoded') return cut(redactQuery(bytes.toString()));
  return `[${bytes.length} bytes of ${mediaType ?? 'no type'}]`;
}

function maskMember(name: string, value: unknown): unknown {
  if (value !== null && isSecretName(name)) return redacted;
  if (typeof value !== 'string') return value;
  return name === 'email' ? maskEmail(value) : maskForms(maskEmails(value));
}

function cut(text: string): string {
  return cutText(maskForms(maskEmails(text)), previewLength);
}
