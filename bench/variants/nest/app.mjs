/**
 * Nest as its documentation has a team set it up, on either server: the throttler as a guard of all
 * routes, a validation pipe, a serialiser for what goes out, `@nestjs/jwt` behind a guard. Its logging of requests is
 * the server's.
 */

import { ClassSerializerInterceptor, Module, ValidationPipe } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE, NestFactory } from '@nestjs/core';
import { JwtModule } from '@nestjs/jwt';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { jwtAudience, jwtIssuer, jwtSecret, limit, origin } from '../environment.mjs';
import { rows } from '../rows.mjs';
import { PeopleController, RowsController } from './controllers.mjs';
import { decorateClass } from './decorate.mjs';
import { CountingStorage } from './throttler-storage.mjs';

const ttl = 60_000;

class AppModule {}
decorateClass(AppModule, {
  decorators: [
    Module({
      imports: [
        ThrottlerModule.forRoot({ throttlers: [{ ttl, limit }], storage: new CountingStorage(ttl) }),
        JwtModule.register({
          secret: jwtSecret,
          verifyOptions: { algorithms: ['HS256'], issuer: jwtIssuer, audience: jwtAudience },
        }),
      ],
      controllers: rows === undefined ? [PeopleController] : [PeopleController, RowsController],
      providers: [
        { provide: APP_GUARD, useClass: ThrottlerGuard },
        { provide: APP_PIPE, useValue: new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }) },
        { provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor },
      ],
    }),
  ],
});

/** The options of `enableCors`, with the server's own layers in front. */
export const corsOptions = { origin: [origin], credentials: true };

/** The application on the given server. Of Nest's own lines only complaints are written. */
export function createApp(adapter) {
  return NestFactory.create(AppModule, adapter, { logger: ['error', 'warn'] });
}
