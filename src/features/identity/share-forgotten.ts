import type { Authenticator } from '../../auth/authenticator.ts';
import type { InvalidationBus } from '../../cache/invalidation-bus.ts';

const tagForm = /^credentials:(session|api-key|user):(.+)$/;

/**
 * Makes the other processes forget checked credentials too, so that an ended session, a revoked key or a changed role takes
 * effect there within milliseconds. A message may be lost, so the time for which a checked credential is cached
 * (`SECURITY_SESSION_RECHECK_SECONDS`) remains the bound.
 */
export function shareForgotten(authenticator: Authenticator, bus: InvalidationBus): Authenticator {
  const publish = (kind: string, id: string | number) =>
    bus.publish({ keys: [], tags: [`credentials:${kind}:${id}`] });

  bus.subscribe(({ tags }) => {
    for (const tag of tags) {
      const [, kind, id = ''] = tagForm.exec(tag) ?? [];
      if (kind === 'session') authenticator.forgetSession(id);
      else if (kind === 'api-key') authenticator.forgetApiKey(Number(id));
      else if (kind === 'user') authenticator.forgetUser(Number(id));
    }
  });

  return {
    ...authenticator,
    forgetSession(id) {
      authenticator.forgetSession(id);
      publish('session', id);
    },
    forgetApiKey(id) {
      authenticator.forgetApiKey(id);
      publish('api-key', id);
    },
    forgetUser(id) {
      authenticator.forgetUser(id);
      publish('user', id);
    },
  };
}
