import { useQuery } from '@tanstack/react-query'
import { inPath } from '../api/client'
import { sessionQuery } from '../api/queries'
import type { AnsweredView, ApprovalView, RunStepView, RunView } from '../api/types'
import { Act } from '../parts/acting'
import { Ago, Panel } from '../parts/bits'
import { State } from '../parts/state'
import { author, duration } from '../parts/words'
import { Granted, Values } from './Written'

/** What steps ask before they start: the open questions with their buttons, then who answered what. */
export function Approvals({ view }: { view: RunView }) {
  const asked = view.steps.flatMap((step) => {
    const { summary, approval } = step
    return approval !== null && approval.asked_ms !== null
      ? [{ step, id: summary.id, asking: summary.state === 'asking', since: approval.asked_ms, approval }]
      : []
  })
  if (asked.length === 0) return null
  asked.sort((one, other) => Number(other.asking) - Number(one.asking))
  return (
    <Panel title={asked.some(({ asking }) => asking) ? 'What waits for a person' : 'Approvals'}>
      <ul className="approvals">
        {asked.map(({ step, id, asking, since, approval }) => (
          <li key={id}>
            <p className="facts">
              <State word={asking ? 'asking' : (approval.answered?.answer ?? 'skipped')}>
                {asking ? undefined : approval.answered === null ? 'nobody answered' : said(approval.answered)}
              </State>
              <span>
                <strong>{id}</strong> asked <Ago at={since} />
              </span>
              {approval.answered !== null && approval.answered.answer !== 'expired' && (
                <span>
                  answered <Ago at={approval.answered.at_ms} />
                </span>
              )}
            </p>
            <p className="question" dir="auto">
              {approval.ask}
            </p>
            {asking && <Does step={step} />}
            {asking && <Answer run={view.run.id} step={id} approval={approval} since={since} />}
          </li>
        ))}
      </ul>
    </Panel>
  )
}

/** What an approval lets start. The question is whatever the pipeline's author made of it, so it does not stand alone. */
function Does({ step }: { step: RunStepView }) {
  return (
    <section className="does" aria-label={`what ${step.summary.id} does`}>
      <h3>
        It runs <code>{step.summary.uses}</code>
      </h3>
      <h3>Grants, as the pipeline writes them</h3>
      <Granted grants={step.grants} />
      <h3>Inputs, as the pipeline writes them</h3>
      <Values values={step.inputs} none="The step takes none." />
    </section>
  )
}

/** `approved by ann`. */
export function said({ answer, by }: AnsweredView): string {
  return answer === 'expired' ? 'nobody answered in time' : `${answer} by ${author(by)}`
}

function Answer({
  run,
  step,
  approval,
  since,
}: {
  run: string
  step: string
  approval: ApprovalView
  since: number
}) {
  const { data } = useQuery(sessionQuery)
  const named = approval.by.length === 0 || approval.by.includes(data?.user?.name ?? '')
  const who = approval.by.length === 0 ? 'Any operator' : approval.by.join(' or ')
  const not = named ? undefined : `${who} may answer.`
  const path = `/runs/${inPath(run)}/steps/${encodeURIComponent(step)}`
  return (
    <>
      <p className="faint">
        {who} may answer; no answer counts as a refusal{' '}
        <span title={`${duration(approval.timeout_ms)} after it was asked`}>
          <Ago at={since + approval.timeout_ms} />
        </span>
        .
      </p>
      <div className="actions">
        <Act
          label="Approve"
          confirm="Approve"
          tone="good"
          effect={`Starts ${step}. Your name stands beside it in the journal.`}
          path={`${path}/approve`}
          not={not}
        />
        <Act label="Refuse" tone="bad" effect={`Fails ${step}, and with it the run.`} path={`${path}/refuse`} not={not} />
      </div>
    </>
  )
}
