import type { ReactNode } from 'react'

/** How a thing stands, whatever it is; each has its own colour, shape and word. */
export type Tone = 'good' | 'moving' | 'waiting' | 'bad' | 'idle'

const shapes = {
  check: (
    <>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path d="m4.8 8.3 2.2 2.2 4.2-4.6" className="shape-ink" />
    </>
  ),
  moving: (
    <>
      <circle cx="8" cy="8" r="6.2" className="shape-line" />
      <path d="M6.4 5.1v5.8L11 8z" fill="currentColor" />
    </>
  ),
  waiting: (
    <>
      <circle cx="8" cy="8" r="6.2" className="shape-line" />
      <path d="M8 4.6V8l2.3 1.5" className="shape-line" />
    </>
  ),
  hollow: <circle cx="8" cy="8" r="5.6" className="shape-line shape-dashed" />,
  again: <path d="M13 8a5 5 0 1 1-1.7-3.8M13.3 1.8v3h-3" className="shape-line" />,
  cross: (
    <>
      <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="currentColor" />
      <path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" className="shape-ink" />
    </>
  ),
  alarm: (
    <>
      <path d="M8 1.2 15.4 14.4H.6z" fill="currentColor" />
      <path d="M8 6v4m0 1.9v.3" className="shape-ink" />
    </>
  ),
  skip: (
    <>
      <circle cx="8" cy="8" r="6.2" className="shape-line" />
      <path d="m4 12 8-8" className="shape-line" />
    </>
  ),
  stop: <rect x="2.5" y="2.5" width="11" height="11" rx="1.5" fill="currentColor" />,
  differs: (
    <>
      <path d="M8 1 15 8 8 15 1 8z" className="shape-line" />
      <path d="M5.5 8h5" className="shape-line" />
    </>
  ),
  person: (
    <>
      <circle cx="8" cy="4.8" r="2.9" fill="currentColor" />
      <path d="M2.6 14.2c.4-3.4 2.6-5 5.4-5s5 1.6 5.4 5z" fill="currentColor" />
    </>
  ),
  eye: (
    <>
      <path d="M1 8s2.6-4.6 7-4.6S15 8 15 8s-2.6 4.6-7 4.6S1 8 1 8z" className="shape-line" />
      <circle cx="8" cy="8" r="2" fill="currentColor" />
    </>
  ),
} satisfies Record<string, ReactNode>

type Shape = keyof typeof shapes

const looks: Record<string, [Tone, Shape, string?]> = {
  // Steps and runs.
  open: ['moving', 'moving', 'on its way'],
  running: ['moving', 'moving'],
  succeeded: ['good', 'check'],
  failed: ['bad', 'cross'],
  rejected: ['bad', 'cross'],
  transient: ['waiting', 'again', 'failed, may pass'],
  'timed-out': ['bad', 'cross', 'timed out'],
  limit: ['bad', 'cross', 'over a limit'],
  lost: ['waiting', 'again', 'lost to a restart'],
  queued: ['waiting', 'waiting', 'waits for a free place'],
  retrying: ['waiting', 'again', 'trying again'],
  asking: ['waiting', 'person', 'waits for approval'],
  approved: ['good', 'check'],
  refused: ['bad', 'cross'],
  expired: ['bad', 'cross', 'nobody answered in time'],
  skipped: ['idle', 'skip'],
  cancelled: ['idle', 'stop'],
  superseded: ['idle', 'skip'],
  // What a stage says.
  progressing: ['moving', 'moving'],
  waiting: ['waiting', 'waiting'],
  pending: ['idle', 'hollow', 'not yet'],
  blocked: ['bad', 'alarm', 'needs a person'],
  aborted: ['bad', 'stop'],
  'cannot be read': ['bad', 'hollow'],
  waits: ['waiting', 'waiting'],
  done: ['good', 'check'],
  // Argo's words, and ours beside them.
  Healthy: ['good', 'check'],
  Progressing: ['moving', 'moving'],
  Paused: ['waiting', 'waiting'],
  Suspended: ['waiting', 'waiting'],
  Degraded: ['bad', 'alarm'],
  Missing: ['bad', 'skip'],
  Unknown: ['idle', 'hollow'],
  synced: ['good', 'check'],
  'out-of-sync': ['waiting', 'differs', 'out of sync'],
  'out of sync': ['waiting', 'differs'],
  missing: ['bad', 'skip'],
  extra: ['waiting', 'differs', 'not in git'],
  observed: ['idle', 'eye'],
  owned: ['good', 'check'],
  unknown: ['idle', 'hollow'],
  warning: ['waiting', 'alarm'],
}

/** What a word looks like; a word of tomorrow is shown as it stands. */
export function look(word: string): { tone: Tone; shape: Shape; text: string } {
  const [tone, shape, text] = looks[word] ?? ['idle', 'hollow']
  return { tone, shape, text: text ?? word }
}

/** The shape alone; whoever uses it says the word beside it. */
export function Icon({ word }: { word: string }) {
  const { tone, shape } = look(word)
  return (
    <svg className={`icon tone-${tone}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      {shapes[shape]}
    </svg>
  )
}

/** The shape with its word. */
export function State({ word, children }: { word: string; children?: ReactNode }) {
  const { tone, text } = look(word)
  return (
    <span className={`state tone-${tone}`}>
      <Icon word={word} />
      <span>{children ?? text}</span>
    </span>
  )
}
