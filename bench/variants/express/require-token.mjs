import jwt from 'jsonwebtoken';
import { jwtAudience, jwtIssuer, jwtSecret } from '../environment.mjs';

const rules = { algorithms: ['HS256'], issuer: jwtIssuer, audience: jwtAudience };

/** Lets in who has a token that holds, and leaves its claims in `response.locals.claims`. */
export function requireToken(request, response, next) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  try {
    if (scheme !== 'Bearer') throw new jwt.JsonWebTokenError('There is no token.');
    response.locals.claims = jwt.verify(token, jwtSecret, rules);
  } catch {
    return response
      .status(401)
      .set('WWW-Authenticate', 'Bearer')
      .json({ message: 'Send a valid access token.' });
  }
  next();
}
