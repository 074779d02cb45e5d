/** Request schemas for the frameworks that leave validation to a library. */

import * as z from 'zod';
import { emailRule, usernameRule } from './people.mjs';

export const idParams = z.object({ id: z.coerce.number().int().min(1) });

export const newPerson = z.strictObject({
  username: z.string().min(usernameRule.min).max(usernameRule.max).regex(usernameRule.pattern),
  email: z.email().max(emailRule.max),
});
