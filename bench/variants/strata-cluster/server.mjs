/** Strata, whole, as two workers and their primary, which share one limit. All of it runs on the server's processor. */

import cluster from 'node:cluster';
import { runServerProgram } from '../../../src/program/server-program.ts';
import { databaseUrl } from '../environment.mjs';
import { routes } from '../strata/routes.mjs';
import { environment } from '../strata/settings.mjs';
import { openDatabase } from './database.mjs';

Object.assign(process.env, environment(), { APP_WORKERS: '2' });

const database = cluster.isWorker && databaseUrl !== undefined ? openDatabase() : undefined;
runServerProgram({ extraRoutes: routes(() => database) });
