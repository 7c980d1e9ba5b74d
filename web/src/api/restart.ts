import { Problem } from './client'

/** Between two tries to reach a server that restarts, in ms. */
export const AGAIN_MS = 1_000

/** Whether this is what a server that stops or starts answers: nothing, or that it is not there yet. */
export function restarts(error: unknown): boolean {
  return error instanceof Problem && [0, 502, 503, 504].includes(error.status)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Whether the server answers at all. */
const answers = () =>
  fetch('/healthz').then(
    (response) => response.ok,
    () => false,
  )

/**
 * Loads a page's code, and tries again for as long as the server does not answer: a click in mid-restart waits for it.
 * A server that answers and does not have the code is of another version, and then the page has to be loaded anew.
 */
export async function untilLoaded<T>(load: () => Promise<T>, here = answers, pause = () => wait(AGAIN_MS)): Promise<T> {
  for (;;) {
    try {
      return await load()
    } catch (error) {
      if (await here()) throw error
      await pause()
    }
  }
}
