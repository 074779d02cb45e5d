/** Requests and responses as classes: class-validator checks the first, class-transformer writes the second. */

import { Expose, Type } from 'class-transformer';
import { IsEmail, Length, Matches, MaxLength } from 'class-validator';
import { emailRule, usernameRule } from '../people.mjs';
import { decorateClass } from './decorate.mjs';

export class NewPerson {
  username;
  email;
}
decorateClass(NewPerson, {
  members: {
    username: { decorators: [Length(usernameRule.min, usernameRule.max), Matches(usernameRule.pattern)] },
    email: { decorators: [IsEmail(), MaxLength(emailRule.max)] },
  },
});

/** Only what is exposed leaves. */
export class Person {
  id;
  username;
  email;
  created_at;
}
decorateClass(Person, {
  members: Object.fromEntries(
    ['id', 'username', 'email', 'created_at'].map((name) => [name, { decorators: [Expose()] }]),
  ),
});

export class People {
  items;
}
decorateClass(People, { members: { items: { decorators: [Expose(), Type(() => Person)] } } });

export class Greeting {
  message;
}
decorateClass(Greeting, { members: { message: { decorators: [Expose()] } } });
