import {
  Body,
  Controller,
  Get,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  Req,
  SerializeOptions,
  UseGuards,
} from '@nestjs/common';
import { createPerson, makePerson } from '../people.mjs';
import { rows } from '../rows.mjs';
import { AtLeastOnePipe } from './at-least-one-pipe.mjs';
import { decorateClass } from './decorate.mjs';
import { Greeting, NewPerson, People, Person } from './people.mjs';
import { TokenGuard } from './token-guard.mjs';

const written = (type) => SerializeOptions({ type, strategy: 'excludeAll' });
const idParameter = Param('id', ParseIntPipe, new AtLeastOnePipe());

export class PeopleController {
  sayHello() {
    return { message: 'Hello, world' };
  }

  getPerson(id) {
    return makePerson(id);
  }

  createPerson(body) {
    return createPerson(body);
  }

  getMe(request) {
    return makePerson(Number(request.user.sub));
  }
}
decorateClass(PeopleController, {
  decorators: [Controller('api/v1')],
  members: {
    sayHello: { decorators: [Get('hello'), written(Greeting)], types: [] },
    getPerson: {
      decorators: [Get('people/:id'), written(Person)],
      parameters: [idParameter],
      types: [Number],
    },
    createPerson: { decorators: [Post('people'), written(Person)], parameters: [Body()], types: [NewPerson] },
    getMe: {
      decorators: [Get('me'), UseGuards(TokenGuard), written(Person)],
      parameters: [Req()],
      types: [Object],
    },
  },
});

/** For a server that is given a database. */
export class RowsController {
  async getRow(id) {
    const person = await rows.find(id);
    if (person === undefined) throw new NotFoundException();
    return person;
  }

  async listRows() {
    return { items: await rows.list() };
  }
}
decorateClass(RowsController, {
  decorators: [Controller('api/v1/rows')],
  members: {
    getRow: { decorators: [Get(':id'), written(Person)], parameters: [idParameter], types: [Number] },
    listRows: { decorators: [Get(), written(People)], types: [] },
  },
});
