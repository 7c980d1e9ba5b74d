import type { RunStepView, RunView } from '../api/types'
import { useNow } from '../parts/clock'
import { stepWord } from '../parts/RunRow'
import { Icon, look } from '../parts/state'
import { duration } from '../parts/words'

/** The run along its time: a row for each step, a bar for each attempt. */
export function Timeline({
  view,
  chosen,
  onPick,
}: {
  view: RunView
  chosen: string | undefined
  onPick: (step: string) => void
}) {
  const now = useNow()
  const start = view.run.opened_ms
  const end = view.run.ended_ms ?? now
  const length = Math.max(end - start, 1)
  const place = (from: number, to: number) => ({
    left: `${(Math.max(0, from - start) / length) * 100}%`,
    width: `max(3px, ${(Math.max(0, to - from) / length) * 100}%)`,
  })
  return (
    <ol className="timeline">
      {view.steps.map((step) => (
        <li key={step.summary.id}>
          <button
            type="button"
            data-row
            aria-pressed={chosen === step.summary.id}
            onClick={() => onPick(step.summary.id)}
          >
            <span className="timeline-name">
              <Icon word={stepWord(step.summary)} />
              {step.summary.id}
              {step.is_final && <small className="faint">finally</small>}
            </span>
            <span className="timeline-rail">
              {step.attempts.map((attempt) => (
                <span
                  key={attempt.attempt}
                  className={`timeline-bar tone-${look(attempt.outcome).tone}`}
                  style={place(attempt.started_ms, attempt.ended_ms ?? end)}
                />
              ))}
            </span>
            <span className="timeline-time num">{words(step, end)}</span>
          </button>
        </li>
      ))}
    </ol>
  )
}

function words({ summary, attempts }: RunStepView, end: number): string {
  const times = attempts.length > 1 ? ` in ${attempts.length} attempts` : ''
  if (summary.started_ms === null) return look(stepWord(summary)).text
  return `${duration((summary.state === 'running' ? end : (summary.ended_ms ?? end)) - summary.started_ms)}${times}`
}
