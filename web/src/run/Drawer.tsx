import { getRouteApi } from '@tanstack/react-router'
import { lazy, Suspense, useEffect } from 'react'
import type { RunStepView } from '../api/types'
import { Ago, StatusLine, Empty, Lasting, Loading, Tabs } from '../parts/bits'
import { stepWord } from '../parts/RunRow'
import { stageName, StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { duration } from '../parts/words'
import { said } from './Approvals'
import { Granted, Values } from './Written'

const Log = lazy(() => import('./Log'))
const route = getRouteApi('/runs/$owner/$repo/$pipeline/$number')

type Tab = 'log' | 'data' | 'grants' | 'attempts'

/** One step: its log, inputs, outputs, grants, attempts. */
export function Drawer({ run, step, onClose }: { run: string; step: RunStepView; onClose: () => void }) {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const { summary } = step
  const attempt = search.attempt ?? step.attempts.at(-1)?.attempt
  const tab: Tab = search.tab === 'data' || search.tab === 'grants' || search.tab === 'attempts' ? search.tab : 'log'
  useEffect(() => {
    const leave = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) onClose()
    }
    document.addEventListener('keydown', leave)
    return () => document.removeEventListener('keydown', leave)
  }, [onClose])
  const show = (tab: Tab) =>
    void navigate({ search: (before) => ({ ...before, tab: tab === 'log' ? undefined : tab, line: undefined }) })
  return (
    <aside className="drawer panel" aria-label={`step ${summary.id}`}>
      <header className="panel-head">
        <div className="grow">
          <h2>
            {summary.id} {step.is_final && <small className="faint">finally</small>}
          </h2>
          <p className="facts">
            <State word={stepWord(summary)} />
            <span>
              uses <code>{summary.uses}</code>
            </span>
            {summary.started_ms !== null && (
              <Lasting from={summary.started_ms} to={summary.state === 'running' ? null : summary.ended_ms} />
            )}
            {summary.stream !== null && /^(app|rollout)\//.test(summary.stream) && (
              <span>
                {stageName(summary.stream)} <StreamLink stream={summary.stream} />
              </span>
            )}
          </p>
        </div>
        <button type="button" className="quiet" onClick={onClose} aria-label="close the step">
          ✕
        </button>
      </header>
      <StatusLine status={summary.status} />
      {step.skipped !== null && <p className="because tone-idle">Skipped: {step.skipped}</p>}
      {summary.state !== 'succeeded' && <LastWords step={step} />}
      <Tabs
        label="step"
        value={tab}
        options={[
          { value: 'log', label: 'Log' },
          { value: 'data', label: 'In and out' },
          { value: 'grants', label: 'Grants' },
          { value: 'attempts', label: `Attempts (${step.attempts.length})` },
        ]}
        onChange={show}
      />
      {tab === 'log' &&
        (attempt === undefined ? (
          <Empty title="It has not started">Its log appears here, line by line, with its first attempt.</Empty>
        ) : (
          <Suspense fallback={<Loading what="the log’s code" />}>
            <Log
              key={`${run} ${summary.id} ${attempt}`}
              run={run}
              step={summary.id}
              attempt={attempt}
              attempts={step.attempts.map((one) => one.attempt)}
              line={search.line}
              onAttempt={(attempt) => void navigate({ search: (before) => ({ ...before, attempt, line: undefined }) })}
              onLine={(line) => void navigate({ search: (before) => ({ ...before, attempt, line }), replace: true })}
            />
          </Suspense>
        ))}
      {tab === 'data' && <Data step={step} />}
      {tab === 'grants' && <Grants step={step} />}
      {tab === 'attempts' && <Attempts step={step} />}
    </aside>
  )
}

function LastWords({ step }: { step: RunStepView }) {
  const last = step.attempts.at(-1)
  if (last === undefined || last.because === '') return null
  return (
    <p className="because tone-bad">
      <span>
        Attempt {last.attempt}: {last.because}
      </span>
    </p>
  )
}

function Data({ step }: { step: RunStepView }) {
  return (
    <div className="drawer-body">
      <h3>Inputs, as the pipeline writes them</h3>
      <Values values={step.inputs} none="The step takes none." />
      <h3>Outputs</h3>
      <Values
        values={step.outputs}
        none={step.summary.state === 'succeeded' ? 'The step gave none.' : 'They come with its success.'}
      />
      <h3>Terms</h3>
      <dl className="values">
        <div>
          <dt>needs</dt>
          <dd>
            {step.needs.length > 0 ? step.needs.join(', ') : step.is_final ? 'the end of all other steps' : 'nothing'}
          </dd>
        </div>
        {step.approval !== null && (
          <div>
            <dt>approval</dt>
            <dd>
              by {step.approval.by.length === 0 ? 'an operator' : step.approval.by.join(' or ')}, within{' '}
              {duration(step.approval.timeout_ms)}
              {step.approval.answered !== null && `: ${said(step.approval.answered)}`}
            </dd>
          </div>
        )}
        {step.condition !== null && (
          <div>
            <dt>only if</dt>
            <dd>
              <code>{step.condition}</code>
            </dd>
          </div>
        )}
        <div>
          <dt>timeout</dt>
          <dd>{duration(step.timeout_ms)} for each attempt</dd>
        </div>
        <div>
          <dt>retry</dt>
          <dd>{step.retry === 0 ? 'never' : step.retry === 1 ? 'once' : `${step.retry} times`}</dd>
        </div>
      </dl>
    </div>
  )
}

function Grants({ step }: { step: RunStepView }) {
  return (
    <div className="drawer-body">
      <p className="faint">
        What the pipeline lets this step ask for. The server’s policy must allow it as well; what neither names, the
        plugin cannot do.
      </p>
      <Granted grants={step.grants} />
    </div>
  )
}

function Attempts({ step }: { step: RunStepView }) {
  if (step.attempts.length === 0)
    return <Empty title="No attempt yet">It starts when what it needs has succeeded.</Empty>
  return (
    <ol className="attempts drawer-body">
      {step.attempts.map((attempt) => (
        <li key={attempt.attempt}>
          <p className="facts">
            <strong>Attempt {attempt.attempt}</strong>
            <State word={attempt.outcome} />
            <Lasting from={attempt.started_ms} to={attempt.ended_ms} />
            <span className="faint">
              started <Ago at={attempt.started_ms} />
            </span>
          </p>
          {attempt.because !== '' && <p>{attempt.because}</p>}
        </li>
      ))}
    </ol>
  )
}
