import { host, port } from '../environment.mjs';
import { makePerson } from '../people.mjs';
import { createApp } from './app.mjs';

const app = await createApp(makePerson);
await app.listen({ port, host });
