import { Link } from '@tanstack/react-router'
import type { RunRowView, StepSummary } from '../api/types'
import { Ago, StatusLine, Lasting, Sha } from './bits'
import { runParams } from './links'
import { Icon, look, State } from './state'
import { branch } from './words'

/** A push with everything that it passes, in one line. */
export function RunRow({ view }: { view: RunRowView }) {
  const { run, steps } = view
  const here = steps.find((step) => step.status !== null)
  const status = here?.status ?? run.status
  return (
    <article className="run-row">
      <header>
        <Link data-row className="title" to="/runs/$owner/$repo/$pipeline/$number" params={runParams(run.id)}>
          {run.title}
        </Link>
        <span className="facts">
          <span>
            {run.pipeline} <strong className="num">#{run.number}</strong>
          </span>
          <span>
            <Sha sha={run.sha} /> on {branch(run.reference)}
          </span>
          <span>{run.author}</span>
          {run.ended_ms === null ? (
            <span>
              for <Lasting from={run.opened_ms} to={null} />
            </span>
          ) : (
            <span>
              <Ago at={run.ended_ms} />, took <Lasting from={run.opened_ms} to={run.ended_ms} />
            </span>
          )}
          {run.state !== 'open' && <State word={run.state} />}
          {steps.some(asks) && <State word="asking" />}
        </span>
      </header>
      {steps.length > 1 && <Track run={run.id} steps={steps} />}
      {run.state === 'open' && <StatusLine status={status} quiet="The run says nothing at this moment." />}
      {run.state !== 'open' && run.state !== 'succeeded' && <StatusLine status={run.status} as={run.state} />}
    </article>
  )
}

/** The steps alone. */
export function Track({ run, steps }: { run: string; steps: StepSummary[] }) {
  return (
    <ol className="track">
      {steps.map((step) => (
        <RunStep key={step.id} run={run} step={step} />
      ))}
    </ol>
  )
}

/** Whether a step waits for somebody's approval. */
export const asks = (step: StepSummary) => step.state === 'asking'

/** A step that nothing is recorded about waits for its turn, not for the world. */
export const stepWord = (step: StepSummary) => (step.state === 'waiting' ? 'pending' : step.state)

function RunStep({ run, step }: { run: string; step: StepSummary }) {
  const word = stepWord(step)
  const body = (
    <>
      <Icon word={word} />
      <span className="run-step-name">{step.id}</span>
      <span className="run-step-time">
        {step.started_ms === null ? (
          <span className="faint">{step.id === 'delivery' ? 'arrived' : look(word).text}</span>
        ) : (
          <>
            <span className="hidden">{look(word).text}, </span>
            <Lasting from={step.started_ms} to={step.state === 'running' ? null : step.ended_ms} />
          </>
        )}
      </span>
    </>
  )
  const name = `run-step tone-${look(word).tone} is-${step.state}`
  return (
    <li className={name}>
      {step.id === 'delivery' ? (
        <span className="run-step-body">{body}</span>
      ) : (
        <Link
          className="run-step-body"
          to="/runs/$owner/$repo/$pipeline/$number"
          params={runParams(run)}
          search={{ step: step.id }}
        >
          {body}
        </Link>
      )}
    </li>
  )
}
