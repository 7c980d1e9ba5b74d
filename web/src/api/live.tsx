import { useQueryClient } from '@tanstack/react-query'
import { createContext, use, useEffect, useState, type ReactNode } from 'react'
import { serverNow, setServerClock } from '../parts/clock'
import { eventsPath } from './client'
import { whileSeen } from './seen'
import { staleKeys } from './stale'
import type { BeatView, ChangedView } from './types'

/** Longer than two of the server's beats. */
const QUIET_MS = 25_000

/** `null` while the stream is up to date; otherwise since when it is behind, by the server's clock. */
const Behind = createContext<number | null>(null)

export const useBehind = () => use(Behind)

/** Follows the server's events, and fetches again what they make stale. */
export function Live({ children }: { children: ReactNode }) {
  const client = useQueryClient()
  const [behind, setBehind] = useState<number | null>(null)

  useEffect(() => {
    let source: EventSource | null = null
    let heard = serverNow()
    let reopen: ReturnType<typeof setTimeout> | undefined

    const hear = (event: MessageEvent<string>) => {
      const beat = JSON.parse(event.data) as Partial<BeatView>
      if (beat.now_ms !== undefined) setServerClock(beat.now_ms)
      heard = serverNow()
      setBehind(null)
    }
    const open = () => {
      source?.close()
      source = new EventSource(eventsPath)
      source.addEventListener('hello', (event) => {
        hear(event)
        void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== 'session' })
      })
      source.addEventListener('beat', hear)
      source.addEventListener('board', (event) => {
        hear(event)
        for (const key of ['home', 'run', 'apps', 'app', 'rollouts', 'rollout', 'deliveries']) {
          void client.invalidateQueries({ queryKey: [key] }, { cancelRefetch: false })
        }
      })
      source.addEventListener('journal', (event: MessageEvent<string>) => {
        hear(event)
        const { streams } = JSON.parse(event.data) as ChangedView
        for (const queryKey of staleKeys(streams)) void client.invalidateQueries({ queryKey }, { cancelRefetch: false })
      })
      source.onerror = () => {
        setBehind((since) => since ?? heard)
        // A browser gives up on an answer that is no stream, such as "log in".
        if (source?.readyState === EventSource.CLOSED) {
          void client.invalidateQueries({ queryKey: ['session'] })
          clearTimeout(reopen)
          reopen = setTimeout(open, 3_000)
        }
      }
    }
    const close = () => {
      clearTimeout(reopen)
      source?.close()
      source = null
    }
    const watch = setInterval(() => {
      if (source !== null && serverNow() - heard > QUIET_MS) {
        setBehind(heard)
        open()
      }
    }, 5_000)
    const leave = whileSeen(() => {
      if (source !== null) return
      heard = serverNow()
      open()
    }, close)
    return () => {
      leave()
      clearInterval(watch)
    }
  }, [client])

  return <Behind value={behind}>{children}</Behind>
}
