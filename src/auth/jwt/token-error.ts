/** Why a token was rejected. Callers branch on the code; the message is for people. */
export const tokenErrorCodes = [
  // The text is not a token that this server could have issued.
  'too_long',
  'malformed',
  'unsupported',
  'wrong_type',
  // The token is not signed with a key of this server.
  'unknown_key',
  'bad_signature',
  // This server issued the token, but it is not valid here or now.
  'bad_claims',
  'wrong_issuer',
  'wrong_audience',
  'not_yet_valid',
  'expired',
] as const;

export type TokenErrorCode = (typeof tokenErrorCodes)[number];

/**
 * The error for a rejected token. The message is one sentence for the client. It quotes nothing of the token and contains
 * neither quotation marks nor backslashes, so it can be used as an `error_description` (RFC 6750, section 3).
 */
export class TokenError extends Error {
  readonly code: TokenErrorCode;

  constructor(code: TokenErrorCode, message: string) {
    // No stack: the code names the failed check, and bad tokens can come in floods.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'TokenError';
    this.code = code;
  }
}
