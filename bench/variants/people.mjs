/** The people that the variants answer with where no table is read. */

/** The person whom the table has under each of its numbers too. */
export function makePerson(id) {
  return {
    id,
    username: 'ada_lovelace',
    email: 'ada@example.org',
    created_at: new Date(Date.UTC(2026, 0, 31, 12)),
  };
}

/** The response to creating a person; the body is already validated. */
export function createPerson({ username, email }) {
  return { ...makePerson(43), username, email };
}

/** The form of a valid username; an address has whatever form the framework's validator checks. */
export const usernameRule = { min: 3, max: 50, pattern: /^[a-zA-Z0-9_]+$/ };
export const emailRule = { max: 254 };

/** The largest body of a note, in bytes. */
export const noteRule = { maxBytes: 1024 };
