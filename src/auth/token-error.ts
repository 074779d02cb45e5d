/** Why a token is refused. Callers branch on the code; the sentence is for people. */
export const tokenErrorCodes = [
  // The text is not a token that this server could have made.
  'too_long',
  'malformed',
  'unsupported',
  'wrong_type',
  // It is not signed with a key of ours.
  'unknown_key',
  'bad_signature',
  // It is ours, and does not hold here or now.
  'bad_claims',
  'wrong_issuer',
  'wrong_audience',
  'not_yet_valid',
  'expired',
] as const;

export type TokenErrorCode = (typeof tokenErrorCodes)[number];

/**
 * A token that is refused. The message is one sentence for the client. It quotes nothing of the token and has neither
 * quotation marks nor backslashes, so it can stand in an `error_description` (RFC 6750, section 3).
 */
export class TokenError extends Error {
  readonly code: TokenErrorCode;

  constructor(code: TokenErrorCode, message: string) {
    super(message);
    this.name = 'TokenError';
    this.code = code;
  }
}
