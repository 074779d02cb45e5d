import { isSecretName, maskEmail, maskEmails, redacted, redactQuery } from './redact.ts';

/** How much of a body a debug line shows, in characters. */
const previewLength = 256;

/**
 * The beginning of a body for a debug line. JSON and forms are masked by name first and cut after; of anything
 * else, which has no names to go by, only type and size are told. E-mail addresses are masked under any name: people
 * sign in with them as their username.
 */
export function previewBody(bytes: Buffer, mediaType: string | undefined): string {
  if (mediaType === 'application/json' || mediaType?.endsWith('+json')) {
    try {
      return cut(JSON.stringify(JSON.parse(bytes.toString()), maskMember));
    } catch {
      return `[${bytes.length} bytes of malformed JSON]`;
    }
  }
  if (mediaType === 'application/x-www-form-urlencoded') return cut(redactQuery(bytes.toString()));
  return `[${bytes.length} bytes of ${mediaType ?? 'no type'}]`;
}

function maskMember(name: string, value: unknown): unknown {
  if (value !== null && isSecretName(name)) return redacted;
  return name === 'email' && typeof value === 'string' ? maskEmail(value) : value;
}

function cut(text: string): string {
  const masked = maskEmails(text.slice(0, 4 * previewLength));
  return masked.length > previewLength ? `${masked.slice(0, previewLength)}…` : masked;
}
