import * as z from 'zod';
import { roles } from '../../../auth/principal.ts';
import { id, email as mailAddress, patchOf, shownAs, text, timestamp } from '../../../http/headers/fields.ts';

const username = text({ min: 3, max: 50 })
  .regex(/^[a-zA-Z0-9_]+$/, 'Use letters a to z, digits and underscores only.')
  .meta({ description: 'Unique, whatever the case of its letters.', example: 'ada_lovelace' });

const email = mailAddress.meta({
  description: `Unique, whatever the case of its letters. ${mailAddress.meta()?.description}`,
});

const password = text({ min: 8, max: 128 }).meta({
  description: 'Kept as a scrypt hash only; no answer shows it.',
  format: 'password',
  example: 'correct horse battery staple',
});

/** The body of a registration. */
export const newUser = z.strictObject({ username, email, password }).meta({ id: 'NewUser' });
export type NewUser = Readonly<z.output<typeof newUser>>;

/** The password that authenticates a change: any password, including one that was set before the current rules. */
const currentPassword = text({ min: 1, max: 128 }).meta({
  description: 'The password of the user, which a new e-mail address needs.',
  format: 'password',
  example: 'correct horse battery staple',
});

/** The fields that can be changed. */
export const userPatch = patchOf({ username, email, current_password: currentPassword }, [
  'current_password',
]).meta({ id: 'UserPatch' });
export type UserPatch = Readonly<z.output<typeof userPatch>>;

/** A user as responses show it. */
export const user = z
  .object({
    id: id.meta({ description: 'The number of the user.' }),
    username: shownAs(username).meta({ description: 'The name to sign in with.' }),
    email: shownAs(email).meta({ description: 'The e-mail address.' }),
    email_verified: z
      .boolean()
      .meta({ description: 'Whether the user has shown that mail to this address arrives.' }),
    role: z.enum(roles).meta({ description: 'An admin may read and change the data of all users.' }),
    created_at: timestamp.meta({ description: 'When the user registered.' }),
    updated_at: timestamp.meta({ description: 'When the user was last changed.' }),
  })
  .meta({ id: 'User' });
