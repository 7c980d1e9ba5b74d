// Between the contract and a function from settings to outputs. It is yours to change.

import { line } from 'bespin:plugin/log@1.1.0';

class Failure extends Error {
  constructor(tag, because) {
    super(because);
    this.payload = { tag, val: because };
  }
}

/** To throw when the author of the pipeline can fix it. The step is not tried again. */
export const rejected = (because) => new Failure('rejected', because);

/** To throw when the same step may succeed later. It is tried again, if the pipeline says `retry`. */
export const transient = (because) => new Failure('transient', because);

/** Logs what happens. */
export const info = (text) => line('info', text);

/** Parts of a text that the host puts together: texts, and secrets by their handles. */
export const text = (...parts) => parts.map((val) => ({ tag: typeof val === 'string' ? 'text' : 'secret', val }));

/** Makes a function from settings to outputs the plugin's step. `known` are the settings' names. */
export function step(known, run) {
  return {
    run(settings) {
      try {
        const given = JSON.parse(settings);
        const odd = Object.keys(given).find((name) => !known.includes(name));
        if (odd) throw rejected(`with: ${odd}: there are ${known.join(', ')}`);
        return JSON.stringify(run(given));
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

function failure(error) {
  const { tag, val } = error.payload ?? {};
  if (tag === 'denied') return rejected(`not granted: ${val.grant} ${val.value}; ${val.mend}`);
  // A bug: its place goes to the log, and the step ends as a crash.
  if (tag === undefined) console.error(`${error}\n${error.stack}`);
  return error;
}
