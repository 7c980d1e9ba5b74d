import { useSyncExternalStore } from 'react'

let ahead = 0
let now = Date.now()
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

/** The server's clock, as far as it is known. */
export const serverNow = () => Date.now() + ahead

function tick() {
  now = serverNow()
  for (const listener of listeners) listener()
}

/** Times are the server's; this machine's clock may be off. */
export function setServerClock(serverNow: number) {
  ahead = serverNow - Date.now()
  now = serverNow
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  if (timer === undefined) {
    now = serverNow()
    timer = setInterval(tick, 1000)
  }
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

/** The server's clock in ms, anew every second. */
export const useNow = () => useSyncExternalStore(subscribe, () => now)
