/**
 * Settles as `work` does. If `ms` pass first, settles as `onTimeout` does instead: with the value that it returns or the
 * error that it throws.
 *
 * The timer is cleared when the work is done, so it keeps no process alive. The work is not cancelled: a caller that has a
 * way to stop it does so in `onTimeout`. A rejection of the work after the timeout is ignored.
 */
export async function withTimeout<T, Late>(
  work: Promise<T>,
  ms: number,
  onTimeout: () => Late,
): Promise<T | Late> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    return await Promise.race([work, late.then(onTimeout)]);
  } finally {
    clearTimeout(timer);
  }
}
