/** Returns the processor time of the work in milliseconds. Unlike wall-clock time, it does not depend on the load. */
export function cpuMsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
