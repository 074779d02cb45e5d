/**
 * Loaded into every process of the program before it starts (NODE_OPTIONS): on SIGUSR2 the process opens files until the
 * system refuses one, and keeps them open until the file EXHAUST_UNTIL is there. That it looks for the file needs no
 * descriptor.
 */

import { closeSync, existsSync, openSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('SIGUSR2', () => {
    const files = [];
    const fill = () => {
      try {
        for (;;) files.push(openSync('/dev/null'));
      } catch (error) {
        if (error.code !== 'EMFILE') throw error;
      }
    };
    fill();
    console.error(`${process.pid} has no descriptor left`);
    const timer = setInterval(() => {
      if (!existsSync(process.env.EXHAUST_UNTIL)) {
        fill();
        return;
      }
      clearInterval(timer);
      for (const file of files) closeSync(file);
    }, 20);
  });
}
