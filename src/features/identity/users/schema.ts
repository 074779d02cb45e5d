import * as z from 'zod';
import { roles } from '../../../auth/principal.ts';
import { id, email as mailAddress, patchOf, shownAs, text, timestamp } from '../../../http/body/fields.ts';

const username = text({ min: 3, max: 50 })
  .regex(/^[a-zA-Z0-9_]+$/, 'Use letters a to z, digits and underscores only.')
  .meta({ description: 'Unique, ignoring case.', example: 'ada_lovelace' });

const email = mailAddress.meta({
  description: `Unique, ignoring case. ${mailAddress.meta()?.description}`,
});

const password = text({ min: 8, max: 128 }).meta({
  description: 'Stored only as a scrypt hash, and never returned.',
  format: 'password',
  example: 'correct horse battery staple',
});

/** The body of a registration. */
export const newUser = z.strictObject({ username, email, password }).meta({ id: 'NewUser' });
export type NewUser = Readonly<z.output<typeof newUser>>;

/** The password that authenticates a change: any password, because it may have been set before the current rules. */
const currentPassword = text({ min: 1, max: 128 }).meta({
  description: 'The current password of the user; required for a new e-mail address.',
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
    email_verified: z.boolean().meta({ description: 'Whether the user has verified the e-mail address.' }),
    role: z.enum(roles).meta({ description: 'An admin may read and change the data of all users.' }),
    created_at: timestamp.meta({ description: 'When the user registered.' }),
    updated_at: timestamp.meta({ description: 'When the user was last changed.' }),
  })
  .meta({ id: 'User' });
