import { useMutation, useQuery } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { change } from '../api/client'
import { sessionQuery } from '../api/queries'
import { Dialog, Trouble } from './bits'
import { brief } from './words'

/** Whether this person may act, and the proof that goes with it. */
export function useOperator() {
  const { data } = useQuery(sessionQuery)
  return { may: data?.user?.role === 'operator', csrf: data?.csrf ?? '' }
}

/** A button that says what it will do, and asks before it does it, unless there is nothing to `confirm`. */
export function Act<T>({
  label,
  effect,
  path,
  big,
  tone,
  confirm,
  not,
  onDone,
}: {
  label: string
  effect: string
  path: string
  big?: boolean
  tone?: 'good' | 'bad'
  confirm?: string
  /** Why this person may not, if so. */
  not?: string | undefined
  onDone?: (answer: T) => void
}) {
  const { may, csrf } = useOperator()
  const [asking, setAsking] = useState(false)
  const doing = useMutation({
    mutationFn: () => change<T>(path, csrf),
    onSuccess: (answer) => {
      setAsking(false)
      onDone?.(answer)
    },
    // Without a question before it, only what went wrong needs a place.
    onError: () => setAsking(true),
  })
  const close = () => {
    setAsking(false)
    doing.reset()
  }
  const ask = () => (confirm === undefined ? doing.mutate() : setAsking(true))
  const why = may ? not : 'Viewers look and change nothing; an operator may do this.'
  const rests = why !== undefined || (confirm === undefined && doing.isPending)
  return (
    <>
      {big === true ? (
        <button type="button" className={`big tone-${tone ?? 'moving'}`} disabled={rests} title={why} onClick={ask}>
          <strong>{label}</strong>
          <span>{brief(effect)}</span>
        </button>
      ) : (
        <button
          type="button"
          className={tone === 'good' ? 'primary' : undefined}
          disabled={rests}
          title={why ?? effect}
          onClick={ask}
        >
          {label}
        </button>
      )}
      <Dialog open={asking} title={label} onClose={close}>
        <h2>{label}?</h2>
        <p title={effect}>{brief(effect)}</p>
        {doing.isError && <Trouble error={doing.error} />}
        <Choice>
          <button type="button" onClick={close}>
            Leave it as it is
          </button>
          <button
            type="button"
            className={`primary ${tone === 'bad' ? 'tone-bad' : ''}`}
            disabled={doing.isPending}
            onClick={() => doing.mutate()}
          >
            {doing.isPending ? 'The server is doing it…' : (confirm ?? 'Try again')}
          </button>
        </Choice>
      </Dialog>
    </>
  )
}

function Choice({ children }: { children: ReactNode }) {
  return <div className="choice">{children}</div>
}
