import { useEffect, useState } from 'react'
import type { Line } from '../api/types'

interface Log {
  lines: Line[]
  ended: boolean
  lost: boolean
}

/** Follows a log from its first line. A lost connection goes on where it was: the lines' numbers are the events' ids. */
export function useLog(path: string): Log {
  const [log, setLog] = useState<Log>({ lines: [], ended: false, lost: false })
  useEffect(() => {
    const source = new EventSource(path)
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
    source.addEventListener('lines', (event: MessageEvent<string>) => {
      arrived.push(...(JSON.parse(event.data) as Line[]))
      if (frame === 0) frame = requestAnimationFrame(show)
    })
    source.addEventListener('end', () => {
      source.close()
      setLog((log) => ({ ...log, ended: true, lost: false }))
    })
    source.onerror = () => setLog((log) => ({ ...log, lost: !log.ended }))
    return () => {
      source.close()
      cancelAnimationFrame(frame)
    }
  }, [path])
  return log
}
