import { useEffect, useState } from 'react'
import { whileSeen } from '../api/seen'
import type { Line } from '../api/types'

interface Log {
  lines: Line[]
  ended: boolean
  lost: boolean
}

/**
 * Follows a log from its first line. A lost connection goes on where it was: the lines' numbers are the events' ids.
 * A hidden page follows nothing, and goes on when it is seen.
 */
export function useLog(path: string): Log {
  const [log, setLog] = useState<Log>({ lines: [], ended: false, lost: false })
  useEffect(() => {
    let source: EventSource | null = null
    let [newest, ended] = [0, false]
    // Many events may come between two frames; they are shown as one change.
    let arrived: Line[] = []
    let frame = 0
    const show = () => {
      frame = 0
      const more = arrived
      arrived = []
      setLog((log) => ({
        lines: log.lines.concat(more.filter((line) => line.n > (log.lines.at(-1)?.n ?? 0))),
        ended: log.ended,
        lost: false,
      }))
    }
    const close = () => {
      source?.close()
      source = null
    }
    const open = () => {
      source = new EventSource(`${path}?from=${newest + 1}`)
      source.addEventListener('lines', (event: MessageEvent<string>) => {
        const lines = JSON.parse(event.data) as Line[]
        newest = lines.at(-1)?.n ?? newest
        arrived.push(...lines)
        if (frame === 0) frame = requestAnimationFrame(show)
      })
      source.addEventListener('end', () => {
        ended = true
        close()
        setLog((log) => ({ ...log, ended: true, lost: false }))
      })
      source.onerror = () => setLog((log) => ({ ...log, lost: !log.ended }))
    }
    const leave = whileSeen(() => {
      if (source === null && !ended) open()
    }, close)
    return () => {
      leave()
      cancelAnimationFrame(frame)
    }
  }, [path])
  return log
}
