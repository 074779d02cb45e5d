/** Milliseconds since 1970 with a fraction, by a clock that all processes and threads of the machine agree on. */
export const now = () => performance.timeOrigin + performance.now();
