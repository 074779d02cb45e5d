import type { Readiness, WorkerReport } from './fleet.ts';

/** A healthy worker speaks every second; one that has missed a few answers nobody at present. */
const unresponsiveSeconds = 4;

/** Whether one of the workers at least can answer requests now. */
export function readinessOf(reports: readonly WorkerReport[], isStopping: boolean): Readiness {
  if (isStopping) return { ready: false, detail: 'The program is about to stop.' };
  const ready = reports.filter(({ state }) => state === 'ready');
  const responsive = ready.filter(({ silentSeconds }) => silentSeconds < unresponsiveSeconds);
  const detail = `${responsive.length} of ${reports.length} workers answer.`;
  if (responsive.length > 0) return { ready: true, detail };
  if (ready.length === 0) return { ready: false, detail: 'No worker is ready yet.' };
  return {
    ready: false,
    detail: `${ready.length} workers are ready, but the event loop of each is blocked.`,
  };
}
