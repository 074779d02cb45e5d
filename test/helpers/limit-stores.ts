import { type Limit, type LimitStore, takeInOrder } from '../../src/limits/limit-store.ts';

/** Returns the same store with promises, as a store outside of the process has. `onTake` is called for each permit. */
export function asynchronous(
  store: Pick<LimitStore, 'take'>,
  onTake: (limit: Limit, key: string) => void = () => {},
): LimitStore {
  const take = async (limit: Limit, key: string) => {
    onTake(limit, key);
    return store.take(limit, key);
  };
  return { take, takeEach: (limits, key) => takeInOrder({ take }, limits, key) };
}
