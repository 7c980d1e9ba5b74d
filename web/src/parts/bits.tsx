import { useEffect, useId, useRef, useState, type ReactNode } from 'react'
import { Problem } from '../api/client'
import { restarts } from '../api/restart'
import type { StatusView } from '../api/types'
import { useNow } from './clock'
import { Icon, look } from './state'
import { ago, brief, duration, short } from './words'

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' })

/** A moment, told from now; exactly on hover. */
export function Ago({ at }: { at: number }) {
  const now = useNow()
  const date = new Date(at)
  return (
    <time dateTime={date.toISOString()} title={exact.format(date)}>
      {ago(at, now)}
    </time>
  )
}

/** How long something took, or takes so far. */
export function Lasting({ from, to }: { from: number; to: number | null }) {
  const now = useNow()
  return (
    <time className="num" title={`since ${exact.format(new Date(from))}`}>
      {duration(to === null ? Math.max(now - from, 1000) : to - from)}
    </time>
  )
}

/** A stage's status, and for how long it stands; `as` is how the whole of it ended. */
export function StatusLine({ status, quiet, as }: { status: StatusView | null; quiet?: string; as?: string | undefined }) {
  if (status === null) return quiet === undefined ? null : <p className="because tone-idle">{quiet}</p>
  const word = as ?? status.phase
  return (
    <p className={`because tone-${look(word).tone}`} title={brief(status.message) === status.message ? undefined : status.message}>
      <Icon word={word} />
      <span>
        <span className="hidden">{look(word).text}: </span>
        {brief(status.message)}{' '}
        <span className="faint">
          {as === undefined ? (
            <>
              for <Lasting from={status.since_ms} to={null} />
            </>
          ) : (
            <Ago at={status.since_ms} />
          )}
        </span>
      </span>
    </p>
  )
}

/** A commit's first digits; the whole of it on hover. */
export function Sha({ sha }: { sha: string }) {
  return (
    <code className="sha" title={sha}>
      {short(sha)}
    </code>
  )
}

export function Panel({
  title,
  side,
  children,
  id,
}: {
  title: ReactNode
  side?: ReactNode
  children: ReactNode
  id?: string
}) {
  const heading = useId()
  return (
    <section className="panel" aria-labelledby={heading} id={id}>
      <header className="panel-head">
        <h2 id={heading}>{title}</h2>
        {side}
      </header>
      {children}
    </section>
  )
}

/** What stands where there is nothing yet: what to do first. */
export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      <div>{children}</div>
    </div>
  )
}

/** What was tried, what came back, what to do. */
export function Trouble({ error }: { error: unknown }) {
  const view =
    error instanceof Problem
      ? error.view
      : { tried: 'showing this', got: error instanceof Error ? error.message : String(error), help: 'reload the page' }
  return (
    <div className="trouble" role="alert">
      <Icon word="blocked" />
      <dl>
        <dt>Tried</dt>
        <dd>{view.tried}</dd>
        <dt>Came back</dt>
        <dd>{view.got}</dd>
        <dt>What to do</dt>
        <dd>{view.help}</dd>
      </dl>
    </div>
  )
}

/** Waiting for an answer, in words; quiet for the first moment. */
export function Loading({ what }: { what: string }) {
  const [late, setLate] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 250)
    return () => clearTimeout(timer)
  }, [])
  return (
    <p className="loading" role="status">
      {late && `Asking the server for ${what}…`}
    </p>
  )
}

/** What stands there while the server is away. */
export function Restarting() {
  return (
    <p className="loading" role="status">
      The server restarts, or cannot be reached. This page tries again every second.
    </p>
  )
}

/** The answer of a query, or why there is none. */
export function Answered<T>({
  query,
  what,
  children,
}: {
  query: { data: T | undefined; error: unknown; failureReason?: unknown }
  what: string
  children: (data: T) => ReactNode
}) {
  if (query.data !== undefined) return children(query.data)
  if (query.error !== null) return <Trouble error={query.error} />
  if (restarts(query.failureReason)) return <Restarting />
  return <Loading what={what} />
}

export function Tabs<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string
  value: T
  options: { value: T; label: ReactNode }[]
  onChange: (value: T) => void
}) {
  const move = (from: number, by: number) => {
    const next = options[(from + by + options.length) % options.length]
    if (next === undefined) return
    onChange(next.value)
    document.getElementById(`tab-${label}-${next.value}`)?.focus()
  }
  return (
    <div className="tabs" role="tablist" aria-label={label}>
      {options.map((option, at) => (
        <button
          key={option.value}
          id={`tab-${label}-${option.value}`}
          role="tab"
          type="button"
          aria-selected={option.value === value}
          tabIndex={option.value === value ? 0 : -1}
          onClick={() => onChange(option.value)}
          onKeyDown={(event) => {
            if (event.key === 'ArrowRight') move(at, 1)
            if (event.key === 'ArrowLeft') move(at, -1)
          }}
        >
          {option.label}
        </button>
      ))}
    </div>
  )
}

/** The browser's own modal dialog: it keeps the focus inside and gives it back. */
export function Dialog({
  open,
  title,
  onClose,
  children,
  wide,
}: {
  open: boolean
  title: string
  onClose: () => void
  children: ReactNode
  wide?: boolean
}) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const dialog = ref.current
    if (open && dialog?.open === false) {
      dialog.showModal()
      dialog.querySelector<HTMLElement>('[data-first]')?.focus()
    }
    if (!open && dialog?.open === true) dialog.close()
  }, [open])
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions -- Escape closes it by itself.
    <dialog
      ref={ref}
      aria-label={title}
      className={wide === true ? 'dialog wide' : 'dialog'}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === ref.current) onClose()
      }}
    >
      {open && <div className="dialog-body">{children}</div>}
    </dialog>
  )
}

/** Copies a text, and says so. */
export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setDone(true)
    setTimeout(() => setDone(false), 1500)
  }
  return (
    <button type="button" className="small quiet" onClick={() => void copy()} aria-label={`copy ${what}`}>
      {done ? 'copied' : 'copy'}
    </button>
  )
}

/** Any JSON as people read it. */
export function Json({ value }: { value: unknown }) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2)
  return <code className="json">{text}</code>
}
