/** The person that the variants without a database answer with: the one whom the others read from their table. */
export function makePerson(id) {
  return {
    id,
    username: 'ada_lovelace',
    email: 'ada@example.org',
    created_at: new Date(Date.UTC(2026, 0, 31, 12)),
  };
}
